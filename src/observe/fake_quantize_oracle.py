"""What torch.ao's fake quantizers return, hold and pass back as gradients, batch by batch."""

import warnings

import torch
from torch.ao.quantization import fake_quantize as fq
from torch.ao.quantization.observer import FixedQParamsObserver, HistogramObserver, MinMaxObserver

from oracle_support import save

warnings.simplefilter("ignore")
torch.manual_seed(6)
BATCHES = [torch.randn(4, 3, 5) * 2 + 0.5 for _ in range(4)] + [torch.full((4, 3, 5), 9.0)]

FACTORIES = {
    name: getattr(fq, name) for name in fq.__all__ if name.startswith(("default_", "fused_")) and "fixed" not in name
} | {
    "fixed": fq.FixedQParamsFakeQuantize.with_args(observer=FixedQParamsObserver.with_args(
        scale=0.05, zero_point=100, quant_min=0, quant_max=255)),
    "min max": fq.FakeQuantize.with_args(observer=MinMaxObserver, dtype=torch.qint8),
    "histogram": fq.FakeQuantize.with_args(observer=HistogramObserver, bins=64),
    "channels in dimension 1": fq.FakeQuantize.with_args(
        observer=fq.MovingAveragePerChannelMinMaxObserver, ch_axis=1, qscheme=torch.per_channel_affine,
        averaging_constant=0.5),
    "fused affine channels": fq.FusedMovingAvgObsFakeQuantize.with_args(
        observer=fq.MovingAveragePerChannelMinMaxObserver, quant_min=-128, quant_max=127, dtype=torch.qint8,
        qscheme=torch.per_channel_affine, averaging_constant=0.5),
    "fused reduced range": fq.FusedMovingAvgObsFakeQuantize.with_args(
        observer=fq.MovingAverageMinMaxObserver, quant_min=0, quant_max=255, reduce_range=True),
    "fused two bits": fq.FusedMovingAvgObsFakeQuantize.with_args(
        observer=fq.MovingAveragePerChannelMinMaxObserver, quant_min=-2, quant_max=1, dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric, averaging_constant=1.0),
    "signed reduced range": fq.FakeQuantize.with_args(
        observer=fq.MovingAverageMinMaxObserver, dtype=torch.qint8, reduce_range=True),
    "fused default": fq.FusedMovingAvgObsFakeQuantize,
    "default": fq.FakeQuantize,
}


def answers(factory):
    module = factory()
    steps = []
    for i, batch in enumerate(BATCHES):
        if i == 3:
            module.disable_observer()
        x = batch.clone().requires_grad_()
        y = module(x)
        (y * torch.arange(60).view(4, 3, 5)).sum().backward()
        steps.append({"y": y.detach(), "gradient": x.grad, "scale": module.scale.clone(),
                      "zero_point": module.zero_point.clone()})
    module.disable_fake_quant()
    assert module(batch) is batch or module(batch).equal(batch)
    return {"steps": steps, "printed": module.extra_repr(), "observer": repr(module.activation_post_process),
            "keys": list(module.state_dict())}


save({"batches": BATCHES, "cases": {name: answers(factory) for name, factory in FACTORIES.items()}})
