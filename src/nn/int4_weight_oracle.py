"""Weights of 4 bits in groups: torch.ao's scales and zero points of each group, and its integers and values."""

import torch
import torch.ao.quantization.fx._decomposed  # its ops
from torch.ao.quantization.observer import PerChannelMinMaxObserver

from oracle_support import save

torch.manual_seed(7)
ops = torch.ops.quantized_decomposed
cases = []
for group_size in (32, 64, 128):
    for out_features, groups, bias in [(1, 1, True), (17, 2, False), (40, 3, True)]:
        for symmetric in (True, False):
            linear = torch.nn.Linear(groups * group_size, out_features, bias=bias)
            weight = linear.weight.detach().normal_(0.3, 1)
            lowest, highest = (-8, 7) if symmetric else (0, 15)
            observer = PerChannelMinMaxObserver(dtype=torch.qint8 if symmetric else torch.quint8, quant_min=lowest, quant_max=highest,
                                                qscheme=torch.per_channel_symmetric if symmetric else torch.per_channel_affine)
            observer(weight.reshape(-1, group_size))
            scale, zero_point = (of_groups.reshape(out_features, groups) for of_groups in observer.calculate_qparams())
            integers = ops.quantize_per_channel_group(weight, scale, zero_point, lowest, highest, torch.int8, group_size)
            values = ops.dequantize_per_channel_group(integers, scale, zero_point, lowest, highest, torch.int8, group_size, torch.float32)
            x = torch.randn(5, groups * group_size)
            case = {"symmetric": symmetric, "group_size": group_size, "weight": weight, "x": x, "integers": integers,
                    "scale": scale, "zero_point": zero_point, "values": values,
                    "out": torch.nn.functional.linear(x.double(), values.double(), linear.bias.detach().double() if bias else None)}
            if bias:
                case["bias"] = linear.bias.detach()
            cases.append(case)
save({"cases": cases})
