"""A file that Python's safetensors wrote, as bytes, beside the bytes of each tensor in it."""

import safetensors.torch
import torch

from oracle_support import save

dtypes = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz),
    *(torch.int64, torch.int32, torch.int16, torch.int8),
    *(torch.uint64, torch.uint32, torch.uint16, torch.uint8, torch.bool),
]
tensors = {str(dtype).removeprefix("torch."): torch.arange(6).view(2, 3).to(dtype) for dtype in dtypes}
tensors |= {"empty": torch.zeros(0, 4), "scalar": torch.tensor(3.5)}
data = safetensors.torch.save(tensors, metadata={"who": "Python"})
save(
    {
        "file": torch.frombuffer(bytearray(data), dtype=torch.uint8),
        "bytes": {name: tensor.reshape(-1).view(torch.uint8) for name, tensor in tensors.items()},
    }
)
