"""Python's quantized normalizations, with scales in no simple ratio: ATen rounds what lies halfway either way."""

import torch
import torch.ao.nn.intrinsic as nni
import torch.ao.nn.intrinsic.quantized as nniq
import torch.ao.nn.quantized as nnq

from oracle_support import save

torch.manual_seed(1)
torch.backends.quantized.engine = "fbgemm"


def randomized(module):
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            tensor.data = torch.rand_like(tensor) + 0.3 if name.endswith("running_var") else torch.randn_like(tensor)
    return module.eval()


MODULES = [
    ("LayerNorm", nnq.LayerNorm, lambda: torch.nn.LayerNorm(40), (5, 7, 40)),
    ("LayerNorm", nnq.LayerNorm, lambda: torch.nn.LayerNorm([6, 9], eps=1e-3), (4, 6, 9)),
    ("LayerNorm", nnq.LayerNorm, lambda: torch.nn.LayerNorm(200, elementwise_affine=False), (11, 200)),
    ("GroupNorm", nnq.GroupNorm, lambda: torch.nn.GroupNorm(3, 12), (4, 12, 5, 6)),
    ("GroupNorm", nnq.GroupNorm, lambda: torch.nn.GroupNorm(1, 6, eps=1e-2), (3, 6, 11)),
    ("GroupNorm", nnq.GroupNorm, lambda: torch.nn.GroupNorm(4, 8, affine=False), (2, 8, 3, 4, 5)),
    ("InstanceNorm1d", nnq.InstanceNorm1d, lambda: torch.nn.InstanceNorm1d(5, affine=True), (3, 5, 50)),
    ("InstanceNorm2d", nnq.InstanceNorm2d, lambda: torch.nn.InstanceNorm2d(7), (3, 7, 8, 9)),
    ("InstanceNorm3d", nnq.InstanceNorm3d, lambda: torch.nn.InstanceNorm3d(4, affine=True), (2, 4, 3, 5, 6)),
    ("BatchNorm2d", nnq.BatchNorm2d, lambda: torch.nn.BatchNorm2d(20), (3, 20, 6, 7)),
    ("BatchNorm3d", nnq.BatchNorm3d, lambda: torch.nn.BatchNorm3d(9, eps=1e-3), (2, 9, 4, 5, 6)),
    ("BNReLU2d", nniq.BNReLU2d, lambda: nni.BNReLU2d(torch.nn.BatchNorm2d(20), torch.nn.ReLU()), (3, 20, 6, 7)),
    ("BNReLU3d", nniq.BNReLU3d, lambda: nni.BNReLU3d(torch.nn.BatchNorm3d(9), torch.nn.ReLU()), (2, 9, 4, 5, 6)),
]
OPTIONS = ["eps", "normalized_shape", "num_groups", "num_channels", "num_features"]

cases = []
for x_scale, x_zero_point, scale, zero_point in [(0.0517, 120, 0.0307, 110), (0.41, 3, 0.0523, 30)]:
    for name, quantized, make, shape in MODULES:
        module = randomized(make())
        module.activation_post_process = torch.ao.quantization.FixedQParamsObserver(scale, zero_point)
        x = torch._make_per_tensor_quantized_tensor(torch.randint(0, 256, shape).to(torch.uint8), x_scale, x_zero_point)
        expected = quantized.from_float(module)(x)
        float_module = module[0] if name.startswith("BNReLU") else module
        case = {
            "module": name, "x": x.int_repr(), "x_scale": x_scale, "x_zero_point": x_zero_point, "scale": scale,
            "zero_point": zero_point, "expected": expected.int_repr(),
            "options": {option: list(value) if isinstance(value, tuple) else value
                        for option in OPTIONS if (value := getattr(float_module, option, None)) is not None},
            "state": {key: value for key, value in float_module.state_dict().items() if not key.startswith("activation_post")},
        }
        cases.append(case)
save({"cases": cases})
