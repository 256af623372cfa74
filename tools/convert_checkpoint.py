#!/usr/bin/env python3
"""Turns a PyTorch checkpoint (.pt, .pth: a state dict) into a safetensors file, which octet::load reads.

It reads zip and legacy files, those saved on a GPU, and state dicts that are wrapped in another dict; nothing but tensors is
ever unpickled, so a checkpoint from elsewhere cannot run code. It needs the packages torch and safetensors.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net")
PREFIX = "module."  # of DataParallel
EXTRA_STATE = "_extra_state"  # what Module.get_extra_state returned: any object
STATISTICS, COUNTER = "running_mean", "num_batches_tracked"  # of a batch norm


class ConversionError(Exception):
    """What is wrong with the checkpoint, and what to do."""


def read_checkpoint(path):
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConversionError(f"it cannot be read: {error.strerror}") from None
    except Exception as error:
        raise ConversionError(what_to_do_about(str(error))) from None


def what_to_do_about(error):
    """Says in our words what torch.load refused: its own advise unpickling anything."""
    resave = "Where you trust the file, save its tensors alone, in Python: torch.save({}, path)"
    if match := re.search(r"GLOBAL (\S+)", error):
        return (
            f"it holds more than tensors ({match[1]}), which is not read because unpickling it could run code. "
            + resave.format("model.state_dict()")
        )
    if "TorchScript" in error:
        return "it is a TorchScript archive. " + resave.format("torch.jit.load(archive).state_dict()")
    if "legacy .tar" in error:
        return "it is in the tar format of before 2017, which needs unpickling. " + resave.format("torch.load(tar, weights_only=False)")
    return "it is no PyTorch checkpoint, or is damaged: copy or download it again"


def find_state_dict(checkpoint, key):
    """The dict of tensors in a checkpoint: what is under `key`, or else the first one at the top or under the usual names."""
    if key is not None:
        if not isinstance(checkpoint, Mapping) or key not in checkpoint:
            raise ConversionError(f"there is no {key!r} in it; it is {describe(checkpoint)}")
        checkpoint = checkpoint[key]
    candidates = [checkpoint]
    for candidate in candidates:  # grows meanwhile
        if is_state_dict(candidate):
            return candidate
        if isinstance(candidate, Mapping):
            candidates += [candidate[name] for name in WRAPPERS if name in candidate]
    raise ConversionError(f"no dict of tensors was found; it is {describe(checkpoint)}. Name the one that is meant with --key")


def is_state_dict(value):
    import torch

    return (
        isinstance(value, Mapping)
        and any(isinstance(item, torch.Tensor) for item in value.values())
        and all(
            isinstance(name, str) and (isinstance(item, torch.Tensor) or name.endswith(EXTRA_STATE))
            for name, item in value.items()
        )
    )


def describe(value):
    if isinstance(value, Mapping):
        parts = [f"{name!r}: {type(item).__name__}" for name, item in list(value.items())[:12]]
        return "a dict of {" + ", ".join(parts) + (", ..." if len(value) > 12 else "") + "}"
    return f"a {type(value).__name__}"


def plain_tensors(state_dict, keep_prefix):
    """The tensors, contiguous and each in memory of its own, under the names that the model has for them; and what is to be
    told about them."""
    import torch

    strip = not keep_prefix and all(name.startswith(PREFIX) for name in state_dict)
    notes = [f"{PREFIX!r} is taken off all names (--keep-prefix keeps it)"] if strip else []
    tensors = {}
    owners = {}  # the first tensor in each memory
    for full_name, tensor in state_dict.items():
        name = full_name[len(PREFIX) :] if strip else full_name
        if not isinstance(tensor, torch.Tensor):
            notes.append(f"{name!r} is left out: it is {describe(tensor)}, not a tensor")
            continue
        check_can_be_written(name, tensor)
        tensors[name] = tensor.detach().clone(memory_format=torch.contiguous_format)
        if tensor.numel():
            owner = owners.setdefault(tensor.untyped_storage().data_ptr(), name)
            if owner != name:
                notes.append(f"{name!r} shared memory with {owner!r}; each has its own copy now")
    return with_counters(tensors, notes), notes


def with_counters(tensors, notes):
    """Batch norms did not count their batches before torch 0.4.1, and torchvision's oldest checkpoints are from then. As
    load_state_dict does in Python, the counters that are missing become 0."""
    import torch

    complete = {}
    for name, tensor in tensors.items():
        complete[name] = tensor
        counter = name.removesuffix(STATISTICS) + COUNTER
        if name.split(".")[-1] == STATISTICS and counter not in tensors:
            complete[counter] = torch.tensor(0)
            notes.append(f"{counter!r} is missing, as in checkpoints from before torch 0.4.1; it is 0 now")
    return complete


def check_can_be_written(name, tensor):
    import safetensors.torch
    import torch

    if tensor.is_quantized:
        raise ConversionError(
            f"{name!r} has the quantized dtype {tensor.dtype}; convert the float checkpoint and quantize it in C++"
        )
    if tensor.layout is not torch.strided:
        raise ConversionError(f"{name!r} has the layout {tensor.layout}; make it dense first")
    if tensor.is_meta:
        raise ConversionError(f"{name!r} has no data: it is on the meta device. Save the checkpoint after its weights are loaded")
    try:
        safetensors.torch.save({name: torch.empty(0, dtype=tensor.dtype)})
    except KeyError:
        raise ConversionError(f"{name!r} has dtype {tensor.dtype}, which safetensors files cannot hold; convert it first") from None


def print_summary(tensors, notes, path):
    rows = [(name, str(tensor.dtype).removeprefix("torch."), str(list(tensor.shape))) for name, tensor in tensors.items()]
    rows.insert(0, ("tensor", "dtype", "shape"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    for note in notes:
        print("note:", note)
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    print(f"{len(tensors)} tensors, {size:,} bytes, in {path}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=" ".join(__doc__.splitlines()[2:]))
    parser.add_argument("checkpoint", help="the .pt or .pth file")
    parser.add_argument("output", help="the .safetensors file to write; one that exists is replaced")
    parser.add_argument(
        "--key",
        help="name of the state dict in the checkpoint; by default it is the checkpoint itself, or what is there under one of: "
        + ", ".join(WRAPPERS),
    )
    parser.add_argument(
        "--keep-prefix", action="store_true", help=f"keep the {PREFIX!r} that DataParallel puts before every name"
    )
    options = parser.parse_args(arguments)
    try:
        import safetensors.torch
    except ImportError:
        sys.exit("convert_checkpoint: the packages torch and safetensors are needed: pip install torch safetensors")
    try:
        if os.path.realpath(options.checkpoint) == os.path.realpath(options.output):
            raise ConversionError("the output would replace the checkpoint; give it another name")
        state_dict = find_state_dict(read_checkpoint(options.checkpoint), options.key)
        tensors, notes = plain_tensors(state_dict, options.keep_prefix)
    except ConversionError as error:
        sys.exit(f"convert_checkpoint: {options.checkpoint}: {error}")
    try:
        safetensors.torch.save_file(tensors, options.output, metadata={"format": "pt"})  # whole or not at all
    except (OSError, safetensors.SafetensorError) as error:
        sys.exit(f"convert_checkpoint: {options.output} cannot be written: {error}")
    print_summary(tensors, notes, options.output)


if __name__ == "__main__":
    main()
