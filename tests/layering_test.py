"""The layers of docs/architecture.md, checked: a file includes only headers of its own layer and of those below it.

Tests are free: they may use the whole library, as its users do.
"""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Each layer, and the layers right above which it stands.
FOUNDATIONS = {
    "kernels": [],
    "tensor": ["kernels"],
    "observe": ["tensor"],
    "nn": ["observe"],
    "workflow": ["nn"],
    "io": ["nn"],
    "models": ["workflow", "io"],
    "distributed": ["nn"],
}
# Of these libraries the kernels know nothing.
TORCH = {"torch", "ATen", "c10", "caffe2"}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def reachable(layer: str) -> set[str]:
    """The layer and all that lie below it."""
    return {layer}.union(*(reachable(below) for below in FOUNDATIONS[layer]))


def violations(layer: str, text: str) -> list[str]:
    """The includes in a file of the layer that its place forbids."""
    found = []
    for header in INCLUDE.findall(text):
        folders = header.removeprefix("octet/").split("/")[:-1]
        first = folders[0] if folders else ""
        torch_in_kernels = layer == "kernels" and first in TORCH
        higher_layer = first in FOUNDATIONS and first not in reachable(layer)
        if header == "octet/octet.h" or ".." in folders or torch_in_kernels or higher_layer:
            found.append(header)
    return found


class Layering(unittest.TestCase):
    def test_every_file_includes_only_its_own_layer_and_those_below(self):
        for top in (ROOT / "include" / "octet", ROOT / "src"):
            sources = [path for path in top.glob("*/**/*") if re.search(r"(?<!_test)(?<!_test_support)\.(h|cpp)$", path.name)]
            self.assertTrue(sources)
            for path in sources:
                layer = path.relative_to(top).parts[0]
                with self.subTest(file=str(path.relative_to(ROOT))):
                    self.assertIn(layer, FOUNDATIONS, "a folder that is no layer")
                    self.assertEqual(violations(layer, path.read_text()), [])

    def test_upward_includes_are_found(self):
        self.assertEqual(violations("tensor", "#include <octet/nn/slot.h>\n"), ["octet/nn/slot.h"])
        self.assertEqual(violations("tensor", '#include "nn/slot_internals.h"\n'), ["nn/slot_internals.h"])
        self.assertEqual(violations("io", "#include <octet/workflow/report.h>\n"), ["octet/workflow/report.h"])
        self.assertEqual(violations("nn", "#include <octet/octet.h>\n"), ["octet/octet.h"])
        self.assertEqual(violations("nn", '#include "../io/file.h"\n'), ["../io/file.h"])

    def test_torch_in_the_kernels_is_found(self):
        self.assertEqual(violations("kernels", "  # include <ATen/Parallel.h>\n"), ["ATen/Parallel.h"])

    def test_downward_includes_are_fine(self):
        self.assertEqual(violations("io", "#include <octet/kernels/gemm.h>\n#include <ATen/ATen.h>\n#include <vector>\n"), [])


if __name__ == "__main__":
    unittest.main()
