"""Weights that Python folds a batch norm into."""

import torch
from torch.ao.quantization import fuse_modules

from oracle_support import save

torch.manual_seed(7)
cases = {}
for name, first, norm in [
    ("conv2d", torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4)),
    ("conv1d", torch.nn.Conv1d(3, 4, 3), torch.nn.BatchNorm1d(4, affine=False)),
    ("conv_transpose2d", torch.nn.ConvTranspose2d(3, 4, 3), torch.nn.BatchNorm2d(4)),
    ("linear", torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4)),
]:
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    if norm.affine:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    model = torch.nn.Sequential(first, norm).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fused = fuse_modules(model, ["0", "1"])
    cases[name] = {"before": before, "weight": fused[0].weight.detach(), "bias": fused[0].bias.detach()}
save(cases)
