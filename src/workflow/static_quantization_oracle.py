"""Static quantization of small networks by Python's torch.ao: what its observers found, and what its integers are."""

import torch
from torch.ao.quantization import convert, default_per_channel_qconfig, default_qconfig, fuse_modules, get_default_qconfig, prepare

from oracle_support import save
from residual_network import GROUPS, random_residual, state_of

torch.backends.quantized.engine = "fbgemm"


def quantized_case(name, qconfig):
    model = random_residual(11).eval()
    state = state_of(model)
    calibration, x = torch.randn(4, 6, 3, 9, 9), torch.randn(6, 3, 9, 9)
    float_out = model(x).detach()
    fuse_modules(model, GROUPS, inplace=True)
    model.qconfig = qconfig
    prepare(model, inplace=True)
    for batch in calibration:
        model(batch)
    convert(model, inplace=True)
    outputs = {}
    for path, module in model.named_modules():
        if path in ("quant", "conv1", "conv2", "conv3", "conv4", "fc", "out"):
            module.register_forward_hook(lambda module, _, out, path=path: outputs.__setitem__(path, out.int_repr()))
    out = model(x).detach()
    qparams = {}
    for path in ("quant", "conv1", "conv2", "conv3", "conv4", "fc", "out", "skip_add", "join"):
        module = model.get_submodule(path)
        qparams[path] = torch.tensor([float(module.scale), float(module.zero_point)], dtype=torch.float64)
    weights = {path: model.get_submodule(path).weight().int_repr() for path in ("conv1", "conv2", "conv3", "conv4", "fc", "out")}
    case = {"name": name, "calibration": calibration, "x": x, "float_out": float_out, "out": out}
    for kind, tensors in (("state", state), ("outputs", outputs), ("qparams", qparams), ("weights", weights)):
        case.update({f"{kind}/{path}": tensor for path, tensor in tensors.items()})
    return case


full_range = torch.ao.quantization.QConfig(
    activation=torch.ao.quantization.HistogramObserver.with_args(reduce_range=False),
    weight=torch.ao.quantization.default_per_channel_weight_observer,
)
save(
    {
        "cases": [
            quantized_case("default", default_qconfig),
            quantized_case("per_channel", default_per_channel_qconfig),
            quantized_case("fbgemm", get_default_qconfig("fbgemm")),
            quantized_case("x86", get_default_qconfig("x86")),
            quantized_case("full_range", full_range),
        ]
    }
)
