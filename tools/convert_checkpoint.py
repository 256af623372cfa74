#!/usr/bin/env python3
"""Turns a PyTorch checkpoint (.pt, .pth: a state dict) into a safetensors file, which octet::load reads.

It reads zip and legacy files, those saved on a GPU, and state dicts that are wrapped in another dict; nothing but tensors is
ever unpickled, so a checkpoint from elsewhere cannot run code. It needs the packages torch and safetensors.
"""

import argparse
import collections.abc
import pickle
import sys

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net")
PREFIX = "module."  # of DataParallel


class ConversionError(Exception):
    """What is wrong with the checkpoint, and what to do."""


def read_checkpoint(path):
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ConversionError(f"{path}: there is no such file") from None
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise ConversionError(
            f"{path}: it holds more than tensors, which is not read because unpickling it could run code ({reason}). "
            "Save the state dict alone, in Python: torch.save(model.state_dict(), path)"
        ) from None
    except Exception as error:
        raise ConversionError(f"{path}: it is no PyTorch checkpoint, or is damaged ({str(error).splitlines()[0]})") from None


def find_state_dict(checkpoint, key):
    """The dict of tensors in a checkpoint: itself, or what is under `key` or one of the usual names."""
    import torch

    def is_state_dict(value):
        return isinstance(value, collections.abc.Mapping) and value and all(isinstance(v, torch.Tensor) for v in value.values())

    if key is not None:
        if not isinstance(checkpoint, collections.abc.Mapping) or key not in checkpoint:
            raise ConversionError(f"there is no {key!r} in it; it is {describe(checkpoint)}")
        checkpoint = checkpoint[key]
    candidates = [checkpoint]
    if isinstance(checkpoint, collections.abc.Mapping):
        candidates += [checkpoint[name] for name in WRAPPERS if name in checkpoint]
    for candidate in candidates:
        if is_state_dict(candidate):
            return candidate
    raise ConversionError(f"no dict of tensors was found; it is {describe(checkpoint)}. Name the one that is meant with --key")


def describe(value):
    if isinstance(value, collections.abc.Mapping):
        parts = [f"{name!r}: {type(item).__name__}" for name, item in list(value.items())[:12]]
        return "a dict of {" + ", ".join(parts) + (", ..." if len(value) > 12 else "") + "}"
    return f"a {type(value).__name__}"


def plain_tensors(state_dict, keep_prefix):
    """Each tensor contiguous and in memory of its own, under the name that the model has for it."""
    import torch

    strip = not keep_prefix and all(name.startswith(PREFIX) for name in state_dict)
    tensors = {}
    for name, tensor in state_dict.items():
        if tensor.is_quantized:
            raise ConversionError(f"{name!r} has the quantized dtype {tensor.dtype}; convert the float checkpoint and quantize it in C++")
        if tensor.layout is not torch.strided:
            raise ConversionError(f"{name!r} has the layout {tensor.layout}; make it dense first")
        tensors[name[len(PREFIX) :] if strip else name] = tensor.detach().clone().contiguous()
    return tensors


def count_shared(state_dict):
    storages = collections.Counter(tensor.untyped_storage().data_ptr() for tensor in state_dict.values() if tensor.numel())
    return sum(count - 1 for count in storages.values())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="\n".join(__doc__.splitlines()[2:]))
    parser.add_argument("checkpoint", help="the .pt or .pth file")
    parser.add_argument("output", help="the .safetensors file to write")
    parser.add_argument("--key", help="where in the checkpoint the state dict is; by default it is found, also under one of: " + ", ".join(WRAPPERS))
    parser.add_argument("--keep-prefix", action="store_true", help=f"keep the {PREFIX!r} of DataParallel before every name")
    options = parser.parse_args(arguments)
    try:
        import safetensors.torch
    except ImportError:
        sys.exit("convert_checkpoint: the packages torch and safetensors are needed: pip install torch safetensors")
    try:
        state_dict = find_state_dict(read_checkpoint(options.checkpoint), options.key)
        tensors = plain_tensors(state_dict, options.keep_prefix)
        safetensors.torch.save_file(tensors, options.output, metadata={"format": "pt"})
    except (ConversionError, OSError) as error:
        sys.exit(f"convert_checkpoint: {error}")

    width = max(map(len, tensors))
    for name, tensor in tensors.items():
        print(f"{name:<{width}}  {str(tensor.dtype).removeprefix('torch.'):<8}  {list(tensor.shape)}")
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    print(f"{len(tensors)} tensors, {size:,} bytes, in {options.output}")
    if shared := count_shared(state_dict):
        print(f"{shared} of them shared memory with another; each has its own copy now")


if __name__ == "__main__":
    main()
