"""What torch.ao's learnable fake quantizer returns, holds and passes back: batches of static estimate, then steps of SGD."""

import warnings

import torch
from torch.ao.quantization._learnable_fake_quantize import _LearnableFakeQuantize
from torch.ao.quantization.observer import MovingAverageMinMaxObserver, MovingAveragePerChannelMinMaxObserver

from oracle_support import save

warnings.simplefilter("ignore")
torch.manual_seed(7)
BATCHES = [torch.randn(4, 3, 5) * 2 + 0.5 for _ in range(5)]
STATIC_BATCHES = 2
LEARNING_RATE = 0.002

CASES = {
    "affine": ({"observer": MovingAverageMinMaxObserver, "quant_min": 0, "quant_max": 15}, 1),
    "symmetric": ({"observer": MovingAverageMinMaxObserver, "quant_min": -8, "quant_max": 7, "dtype": torch.qint8,
                   "qscheme": torch.per_tensor_symmetric}, 1),
    "symmetric channels": ({"observer": MovingAveragePerChannelMinMaxObserver, "quant_min": -2, "quant_max": 1,
                            "dtype": torch.qint8, "qscheme": torch.per_channel_symmetric, "ch_axis": 0}, 4),
    "affine channels": ({"observer": MovingAveragePerChannelMinMaxObserver, "quant_min": -8, "quant_max": 7,
                         "dtype": torch.qint8, "qscheme": torch.per_channel_affine, "ch_axis": 1}, 3),
}


def answers(kwargs, channels, use_grad_scaling):
    module = _LearnableFakeQuantize(channel_len=channels if channels > 1 else -1, use_grad_scaling=use_grad_scaling, **kwargs)
    optimizer = torch.optim.SGD(module.parameters(), lr=LEARNING_RATE)
    steps = []
    for i, batch in enumerate(BATCHES):
        if i == STATIC_BATCHES:
            module.enable_param_learning()
        x = batch.clone().requires_grad_()
        optimizer.zero_grad()
        y = module(x)
        (y - torch.arange(60).view(4, 3, 5) * 0.05).square().sum().backward()
        step = {"y": y.detach(), "x_gradient": x.grad, "scale": module.scale.detach().clone(),
                "zero_point": module.zero_point.detach().clone()}
        if i >= STATIC_BATCHES:
            step |= {"scale_gradient": module.scale.grad.clone(), "zero_point_gradient": module.zero_point.grad.clone()}
            optimizer.step()
        steps.append(step)
    scale, zero_point = module.calculate_qparams()
    return {"steps": steps, "scale": scale, "zero_point": zero_point, "keys": list(module.state_dict())}


save({"batches": BATCHES, "static_batches": STATIC_BATCHES, "learning_rate": LEARNING_RATE,
      "cases": {f"{name}{', scaled' if scaled else ''}": answers(*case, scaled)
                for name, case in CASES.items() for scaled in (False, True)}})
