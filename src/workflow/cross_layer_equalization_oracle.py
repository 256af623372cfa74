"""Cross-layer equalization by Python's torch.ao, of channels that have weights of both signs."""

import copy

import torch
from torch import nn
from torch.ao.quantization._equalize import equalize

from oracle_support import save


def case(name, model, paths):
    torch.manual_seed(21)
    for module in model.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            nn.init.normal_(module.weight)
            with torch.no_grad():
                module.weight.mul_(torch.logspace(-1.5, 1.5, module.weight.size(0)).reshape(-1, *[1] * (module.weight.dim() - 1)))
            if module.bias is not None:
                nn.init.normal_(module.bias)
            for axis in (0, 1):
                channels = module.weight.transpose(0, axis).flatten(1)
                assert (channels.amin(1) < 0).all() and (channels.amax(1) > 0).all(), "a range that does not hold 0"
    before = {key: value.clone() for key, value in model.state_dict().items()}
    equalized = copy.deepcopy(model)
    equalize(equalized, [paths], threshold=1e-6)
    return {"name": name, "before": before, "after": dict(equalized.state_dict())}


save(
    {
        "cases": [
            case("conv2d", nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3, bias=False), nn.ReLU(), nn.Conv2d(6, 5, 2)), ["0", "2", "4"]),
            case("conv1d", nn.Sequential(nn.Conv1d(4, 7, 3), nn.ReLU(), nn.Conv1d(7, 5, 3)), ["0", "2"]),
            case("linear", nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 14), nn.Linear(14, 11)), ["0", "2", "3"]),
        ]
    }
)
