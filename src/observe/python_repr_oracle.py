"""How Python prints tensors and numbers."""

import torch

from oracle_support import save

torch.manual_seed(11)
tensors = [
    torch.tensor(value) for value in (0.0, -0.0, 2.0, 1 / 3, 1e-5, 1e-4, 123456789.0, 1e16, 1e15, float("inf"), -7, 255)
] + [
    torch.tensor(values) for values in
    ([], [0.0], [0.0, 0.0], [1.0, -2.0], [0.5, 100.25], [1e-5, 1.0], [1e9, 2e9], [float("inf"), float("-inf")],
     [float("nan"), 1.0], [1.5, float("inf")], [3, -40, 500], [0.001, 2.0], [1e-6, 2e-6])
] + [torch.randn(30), torch.randn(1000), torch.randn(1001) * 10, torch.arange(2000), torch.zeros(40),
     torch.tensor([1], dtype=torch.uint8), torch.tensor([-1, 5], dtype=torch.int32), torch.tensor([0.25]).half(),
     torch.tensor([0.25, 3.0], dtype=torch.double)]
save({"tensors": tensors, "printed": [f"{tensor}" for tensor in tensors]})
