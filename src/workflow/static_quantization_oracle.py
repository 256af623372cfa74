"""Static quantization of small networks by Python's torch.ao: what its observers found, and what its integers are."""

import torch
from torch import nn
from torch.ao.nn.quantized import FloatFunctional
from torch.ao.quantization import DeQuantStub, QuantStub, convert, default_per_channel_qconfig, default_qconfig, fuse_modules, get_default_qconfig, prepare

from oracle_support import save

torch.backends.quantized.engine = "fbgemm"


class Residual(nn.Module):
    """Convolutions with batch norms, a depthwise one, a residual add, a concatenation, pooling and a Linear."""

    def __init__(self):
        super().__init__()
        self.quant, self.dequant = QuantStub(), DeQuantStub()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8)
        self.conv3, self.relu3 = nn.Conv2d(8, 12, 1, stride=2), nn.ReLU()
        self.conv4 = nn.Conv2d(8, 4, 3, stride=2, padding=1, dilation=1)
        self.fc, self.relu4 = nn.Linear(16, 10), nn.ReLU()
        self.out = nn.Linear(10, 5)
        self.skip_add, self.join = FloatFunctional(), FloatFunctional()

    def forward(self, x):
        x = self.relu1(self.bn1(self.conv1(self.quant(x))))
        x = self.skip_add.add_relu(x, self.bn2(self.conv2(x)))
        x = self.join.cat([self.relu3(self.conv3(x)), self.conv4(x)], 1)
        x = torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1)
        return self.dequant(self.out(self.relu4(self.fc(x))))


def quantized_case(name, qconfig):
    torch.manual_seed(11)
    model = Residual()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    model.eval()
    state = {key: value.clone() for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    calibration, x = torch.randn(4, 6, 3, 9, 9), torch.randn(6, 3, 9, 9)
    float_out = model(x).detach()
    fuse_modules(model, [["conv1", "bn1", "relu1"], ["conv2", "bn2"], ["conv3", "relu3"], ["fc", "relu4"]], inplace=True)
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
