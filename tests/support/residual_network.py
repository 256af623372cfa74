"""A small network with all that a residual one has; residual_test_support.h has the same in C++."""

import torch
from torch import nn
from torch.ao.nn.quantized import FloatFunctional
from torch.ao.quantization import DeQuantStub, QuantStub

GROUPS = [["conv1", "bn1", "relu1"], ["conv2", "bn2"], ["conv3", "relu3"], ["fc", "relu4"]]


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


def random_residual(seed: int) -> Residual:
    """With batch norms that do something."""
    torch.manual_seed(seed)
    model = Residual()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


def state_of(model: nn.Module) -> dict:
    return {key: value.clone() for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
