"""Fails if the compiler keeps part of a GEMM tile on the stack: the innermost loops of functions named accumulate_tile may not
touch it. The sums would be as exact, but several times slower, and no other test would notice.

hot_loops_test.py OBJDUMP OBJECT...   Objects named kernels_... must hold such a function; others may.
"""

import dataclasses
import pathlib
import re
import subprocess
import sys

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S.*)$")
BRANCH = re.compile(r"^(?:j\w+|b|b\.\w+|cbn?z|tbn?z)\s+(?:.*,\s*)?(?:0x)?([0-9a-f]+)\s+<")
LEAVES = re.compile(r"^(?:jmp|b|br|ret)\b(?!\.)")
STACK = r"\(%rsp|\[sp\b"
# A frame pointer is a register like any other, unless the function makes it point to its frame.
FRAMES = {r"mov\s+%rsp,%rbp": r"\(%rbp", r"mov\s+x29, sp": r"\[x29\b"}


@dataclasses.dataclass
class Function:
    name: str
    instructions: dict[int, str] = dataclasses.field(default_factory=dict)  # by address, in order

    def loop(self, head: int, back: int) -> set[int]:
        """What runs from `head` until the branch at `back` leads there again; empty if nothing between them leads to `back`."""
        addresses = [address for address in self.instructions if head <= address <= back]
        following = dict(zip(addresses, addresses[1:]))
        reached, todo = set(), [head]
        while todo:
            address = todo.pop()
            text = self.instructions[address]
            reached.add(address)
            successors = [] if LEAVES.match(text) else [following.get(address)]
            if branch := BRANCH.match(text):
                successors.append(int(branch[1], 16))
            todo += [next for next in successors if next in self.instructions and head <= next <= back and next not in reached]
        return reached if back in reached else set()

    def innermost_loops(self) -> list[list[str]]:
        loops = []
        for address, text in self.instructions.items():
            branch = BRANCH.match(text)
            if branch and int(branch[1], 16) <= address:
                loops.append(self.loop(int(branch[1], 16), address))
        innermost = [loop for loop in loops if loop and not any(other and other < loop for other in loops)]
        return [[self.instructions[address] for address in sorted(loop)] for loop in innermost]

    def stack_references(self) -> list[str]:
        """The instructions of the innermost loops that read or write the stack."""
        patterns = [STACK]
        for sets_up, reference in FRAMES.items():
            if any(re.match(sets_up, text) for text in self.instructions.values()):
                patterns.append(reference)
        stack = re.compile("|".join(patterns))
        return [text for loop in self.innermost_loops() for text in loop if stack.search(text)]


def functions(disassembly: str) -> list[Function]:
    found = []
    for line in disassembly.splitlines():
        if start := FUNCTION.match(line):
            found.append(Function(start[1]))
        elif instruction := INSTRUCTION.match(line):
            found[-1].instructions[int(instruction[1], 16)] = instruction[2]
    return found


def check(objdump: str, path: str) -> list[str]:
    """What is wrong with an object file, a text for each fault."""
    command = [objdump, "--disassemble", "--no-show-raw-insn", path]
    disassembly = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    tiles = [function for function in functions(disassembly) if "accumulate_tile" in function.name]
    looping = [tile for tile in tiles if tile.innermost_loops()]
    print(f"{path}: {len(looping)} tile functions with loops")
    if not looping and pathlib.Path(path).name.startswith("kernels_"):
        return [f"{path}: no function named accumulate_tile with a loop in it"]
    return [
        f"{path}: {tile.name} uses the stack in its innermost loop:\n    " + "\n    ".join(references)
        for tile in looping
        if (references := tile.stack_references())
    ]


if __name__ == "__main__":
    faults = [fault for path in sys.argv[2:] for fault in check(sys.argv[1], path)]
    sys.exit("\n".join(faults) if faults else 0)
