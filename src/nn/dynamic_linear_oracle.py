"""Python's dynamically quantized Linear: its integer weights, and its output with seven-bit activations."""

import torch
from torch.ao.quantization import default_dynamic_qconfig, float16_dynamic_qconfig, per_channel_dynamic_qconfig, quantize_dynamic

from oracle_support import save

torch.manual_seed(1)
torch.backends.quantized.engine = "fbgemm"
cases = []
for in_features, out_features, bias in [(1, 1, True), (7, 5, True), (64, 33, False), (200, 48, True)]:
    for name, qconfig in [("per_tensor", default_dynamic_qconfig), ("per_channel", per_channel_dynamic_qconfig), ("float16", float16_dynamic_qconfig)]:
        linear = torch.nn.Linear(in_features, out_features, bias=bias)
        x = torch.randn(9, in_features) * 3 + 1
        dtype = torch.float16 if name == "float16" else torch.qint8
        quantized = quantize_dynamic(torch.nn.Sequential(linear), {"0": qconfig}, dtype=dtype)
        case = {"qconfig": name, "weight": linear.weight.detach(), "x": x, "float_out": linear(x).detach(), "out": quantized(x).detach()}
        if bias:
            case["bias"] = linear.bias.detach()
        if name != "float16":
            weight = quantized[0].weight()
            case["int_repr"] = weight.int_repr()
            per_channel = name == "per_channel"
            case["scale"] = weight.q_per_channel_scales() if per_channel else torch.tensor([weight.q_scale()], dtype=torch.float64)
        cases.append(case)
save({"cases": cases})
