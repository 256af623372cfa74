"""Python's quantized activations. Those that torch.ao has no quantized module of are its float function, quantized.

The scales are in no simple ratio: with one, many results lie halfway between two integers, and ATen rounds these either way.
"""

import torch
import torch.ao.nn.quantized as nnq
import torch.nn.functional as F

from oracle_support import save

torch.manual_seed(1)
torch.backends.quantized.engine = "fbgemm"

# Name, options, the function from a quantized input and the output's scale and zero point.
FUNCTIONS = [
    ("ELU", {"alpha": 1.0}, lambda x, s, z: nnq.ELU(s, z, 1.0)(x)),
    ("ELU", {"alpha": 0.3}, lambda x, s, z: nnq.ELU(s, z, 0.3)(x)),
    ("LeakyReLU", {"negative_slope": 0.01}, lambda x, s, z: nnq.LeakyReLU(s, z, 0.01)(x)),
    ("LeakyReLU", {"negative_slope": 0.4}, lambda x, s, z: nnq.LeakyReLU(s, z, 0.4)(x)),
    ("Hardswish", {}, lambda x, s, z: nnq.Hardswish(s, z)(x)),
    ("Sigmoid", {}, lambda x, s, z: nnq.Sigmoid(s, z)(x)),
    ("Tanh", {}, lambda x, s, z: quantized_as(x, torch.tanh(x.dequantize()), s, z)),
    ("Hardsigmoid", {}, lambda x, s, z: quantized_as(x, F.hardsigmoid(x.dequantize()), s, z)),
    ("SiLU", {}, lambda x, s, z: quantized_as(x, F.silu(x.dequantize()), s, z)),
    ("GELU", {"approximate": "none"}, lambda x, s, z: quantized_as(x, F.gelu(x.dequantize()), s, z)),
    ("GELU", {"approximate": "tanh"}, lambda x, s, z: quantized_as(x, F.gelu(x.dequantize(), approximate="tanh"), s, z)),
    ("Softmax", {"dim": 1}, lambda x, s, z: nnq.Softmax(1, s, z)(x)),
    ("Softmax", {"dim": -1}, lambda x, s, z: nnq.Softmax(-1, s, z)(x)),
    ("ReLU6", {}, lambda x, s, z: nnq.ReLU6()(x)),
]


def quantized_as(x, values, scale, zero_point):
    return torch.quantize_per_tensor(values, scale, zero_point, x.dtype)


def integers(dtype, shape):
    storage = torch.uint8 if dtype == torch.quint8 else torch.int8
    return torch.randint(-128, 128, shape).add(128 if dtype == torch.quint8 else 0).to(storage)


def case(name, options, x, output, expected):
    return {
        "module": name, "options": options, "x": x.int_repr(), "x_scale": x.q_scale(), "x_zero_point": x.q_zero_point(),
        "scale": output[0], "zero_point": output[1], "expected": expected.int_repr(),
    }


cases = []
for dtype, low in [(torch.quint8, 0), (torch.qint8, -128)]:
    for x_scale, x_zero_point, output in [(0.0517, 120, (0.0413, 20)), (0.011, 3, (0.0127, 128)), (0.31, 255, (1 / 256, 0))]:
        for name, options, function in FUNCTIONS:
            x = torch._make_per_tensor_quantized_tensor(integers(dtype, (4, 6, 8, 9)), x_scale, x_zero_point + low)
            out = (output[0], output[1] + low)
            cases.append(case(name, options, x, out, function(x, *out)))

for slopes in [torch.tensor([0.25]), torch.tensor([0.1, -0.5, 0.75, 1.5, 0.0, 0.3]), torch.tensor([0.1, 1.0, 0.75, 0.4, 0.0, 0.3])]:
    x = torch._make_per_tensor_quantized_tensor(integers(torch.quint8, (4, 6, 8, 9)), 0.0517, 120)
    float_module = torch.nn.PReLU(slopes.numel())
    float_module.weight.data = slopes
    observer = torch.ao.quantization.MinMaxObserver
    float_module.qconfig = torch.ao.quantization.QConfig(None, observer.with_args(dtype=torch.quint8))
    float_module.activation_post_process = torch.ao.quantization.FixedQParamsObserver(0.0413, 60)
    module = nnq.PReLU.from_float(float_module)
    # quantized::prelu multiplies positive values with the number nearest to 1 that the weight's scale and zero point have.
    if slopes.max() == 1:
        expected = module(x)
    else:
        expected = quantized_as(x, F.prelu(x.dequantize(), module.weight.dequantize()), 0.0413, 60)
    answer = case("PReLU", {}, x, (0.0413, 60), expected)
    answer["slopes"] = slopes
    answer["weight"] = module.weight.int_repr()
    cases.append(answer)

save({"cases": cases})
