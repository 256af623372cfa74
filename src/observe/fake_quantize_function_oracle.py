"""What torch's operators for fake quantization return and pass back, for each dtype and memory layout, at ties and bounds."""

import torch

from oracle_support import save

torch.manual_seed(8)
RANGES = [(0, 255), (0, 127), (-128, 127), (-8, 7), (-2, 1), (0, 3)]


def case(x, scale, zero_point, axis, quant_min, quant_max):
    x = x.clone().requires_grad_()
    if axis < 0:
        y = torch.fake_quantize_per_tensor_affine(x, scale, zero_point, quant_min, quant_max)
    else:
        y = torch.fake_quantize_per_channel_affine(x, scale, zero_point, axis, quant_min, quant_max)
    gradient = torch.randn_like(y)
    y.backward(gradient)
    return {"x": x.detach(), "scale": scale, "zero_point": zero_point, "axis": axis, "quant_min": quant_min,
            "quant_max": quant_max, "y": y.detach(), "gradient": gradient, "x_gradient": x.grad}


def int32(*values):
    return torch.tensor(values, dtype=torch.int32)


cases = []
for quant_min, quant_max in RANGES:
    for zero_point in {quant_min, (quant_min + quant_max) // 2, quant_max, quant_max - 1}:
        # Every half step up to some steps beyond the bounds: the ties, of odd and even integers, decide about the bounds.
        steps = torch.arange(2 * (quant_min - zero_point) - 8, 2 * (quant_max - zero_point) + 9) / 2
        cases.append(case(steps * 0.25, torch.tensor([0.25]), int32(zero_point), -1, quant_min, quant_max))
images = torch.randn(2, 3, 4, 5) * 3
layouts = {"contiguous": images, "channels last": images.to(memory_format=torch.channels_last), "transposed": images.transpose(0, 3),
           "not dense": (torch.randn(2, 6, 4, 10) * 3)[:, ::2, :, ::2]}
for x in layouts.values():
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        cases.append(case(x.to(dtype), torch.tensor([0.05]), int32(100), -1, 0, 255))
        channels = x.size(1)
        cases.append(case(x.to(dtype), torch.rand(channels) * 0.1 + 0.1, int32(*range(channels)), 1, -8, 7))
        channels = x.size(0)
        cases.append(case(x.to(dtype), torch.rand(channels) * 0.1 + 0.1, int32(*range(channels)), 0, -8, 7))
cases.append(case(images, torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.5, -2.25, 0.0]), 1, 0, 15))  # float zero points

save({"cases": cases})
