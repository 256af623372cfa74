"""Quantized convolutions of Python's torch.ao over their options: inputs, weights, output qparams, and the integers that come out."""

import itertools

import torch
from torch import nn
from torch.ao.nn import intrinsic
from torch.ao.nn import quantized as nnq
from torch.ao.nn.intrinsic import quantized as nniq
from torch.ao.quantization import MinMaxObserver, QConfig, default_per_channel_weight_observer, default_weight_observer

from oracle_support import save

torch.manual_seed(5)
torch.backends.quantized.engine = "fbgemm"

PLAIN = {1: (nn.Conv1d, nnq.Conv1d), 2: (nn.Conv2d, nnq.Conv2d), 3: (nn.Conv3d, nnq.Conv3d)}
FUSED = {1: (intrinsic.ConvReLU1d, nniq.ConvReLU1d), 2: (intrinsic.ConvReLU2d, nniq.ConvReLU2d), 3: (intrinsic.ConvReLU3d, nniq.ConvReLU3d)}
TRANSPOSED = {1: (nn.ConvTranspose1d, nnq.ConvTranspose1d), 2: (nn.ConvTranspose2d, nnq.ConvTranspose2d), 3: (nn.ConvTranspose3d, nnq.ConvTranspose3d)}
SIZES = {1: (19,), 2: (9, 11), 3: (6, 7, 8)}


def case(dimensions, options, per_channel, relu, transposed):
    float_class, quantized_class = (TRANSPOSED if transposed else PLAIN)[dimensions]
    module = float_class(8, 12, 3, **options)
    bias = module.bias
    x = torch.randn(2, 8, *SIZES[dimensions])
    q = torch.quantize_per_tensor(x, 0.031, 117, torch.quint8)
    fused = module
    if relu:
        fused_class, quantized_class = FUSED[dimensions]
        fused = fused_class(module, nn.ReLU())
    fused.qconfig = module.qconfig = QConfig(activation=MinMaxObserver, weight=default_per_channel_weight_observer if per_channel else default_weight_observer)
    fused.activation_post_process = module.activation_post_process = MinMaxObserver()
    fused.activation_post_process(fused(q.dequantize()))
    quantized = quantized_class.from_float(fused)
    return {
        "dimensions": dimensions,
        "transposed": transposed,
        "relu": relu,
        "per_channel": per_channel,
        "padding_mode": options.get("padding_mode", "zeros"),
        "options": torch.tensor([options.get(name, default) for name, default in (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1), ("output_padding", 0))]),
        "weight": module.weight.detach(),
        "bias": bias.detach(),
        "x": q.int_repr(),
        "scale": float(quantized.scale),
        "zero_point": int(quantized.zero_point),
        "weight_int_repr": quantized.weight().int_repr(),
        "out": quantized(q).int_repr(),
    }


cases = []
for dimensions, stride, padding, dilation, groups in itertools.product((1, 2, 3), (1, 2), (0, 1), (1, 2), (1, 2, 4)):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    number = len(cases)
    cases.append(case(dimensions, options, per_channel=number % 2 == 0, relu=number % 3 == 0, transposed=False))
for dimensions, mode in itertools.product((1, 2), ("reflect",)):
    cases.append(case(dimensions, {"padding": 2, "padding_mode": mode}, per_channel=True, relu=False, transposed=False))
for dimensions, stride, padding, dilation in itertools.product((1, 2, 3), (1, 2), (0, 1), (1, 2)):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": stride - 1 if dilation == 1 else 0}
    cases.append(case(dimensions, options, per_channel=False, relu=False, transposed=True))
save({"cases": cases})
