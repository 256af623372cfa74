"""A file that Python's safetensors wrote, as bytes, beside the tensors in it."""

import safetensors.torch
import torch

from oracle_support import save

torch.manual_seed(1)
tensors = {
    "double": torch.randn(3, dtype=torch.float64),
    "float": torch.randn(2, 3),
    "half": torch.randn(4).half(),
    "bfloat16": torch.randn(5).bfloat16(),
    "int64": torch.randint(-9, 9, (2, 2)),
    "int32": torch.randint(-9, 9, (3,), dtype=torch.int32),
    "int16": torch.randint(-9, 9, (3,), dtype=torch.int16),
    "int8": torch.randint(-9, 9, (3,), dtype=torch.int8),
    "uint8": torch.randint(0, 9, (3,), dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "empty": torch.zeros(0, 4),
    "scalar": torch.tensor(3.5),
}
data = safetensors.torch.save(tensors, metadata={"who": "Python"})
save({"file": torch.frombuffer(bytearray(data), dtype=torch.uint8), "tensors": tensors})
