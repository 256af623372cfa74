"""torchvision's ResNet and MobileNetV2 in plain torch.nn (torchvision itself is not needed): their names, shapes and first
weights for a given seed, and what they compute."""

import io

import torch
from torch import nn

from oracle_support import save


def conv(in_channels, out_channels, kernel, stride=1, groups=1):
    return nn.Conv2d(in_channels, out_channels, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_channels, planes, stride, groups, width_per_group):
        super().__init__()
        self.conv1, self.bn1 = conv(in_channels, planes, 3, stride), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv(planes, planes, 3), nn.BatchNorm2d(planes)
        self.last_norm = [self.bn2]  # in a list it is not registered again
        self.downsample = None
        if stride != 1 or in_channels != planes:
            self.downsample = nn.Sequential(conv(in_channels, planes, 1, stride), nn.BatchNorm2d(planes))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, in_channels, planes, stride, groups, width_per_group):
        super().__init__()
        width, out_channels = int(planes * (width_per_group / 64.0)) * groups, planes * 4
        self.conv1, self.bn1 = conv(in_channels, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride, groups), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, out_channels, 1), nn.BatchNorm2d(out_channels)
        self.last_norm = [self.bn3]
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))

    def forward(self, x):
        y = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        return torch.relu(self.bn3(self.conv3(y)) + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, block, layers, num_classes=1000, zero_init_residual=False, groups=1, width_per_group=64):
        super().__init__()
        self.conv1, self.bn1, channels = conv(3, 64, 7, 2), nn.BatchNorm2d(64), 64
        for i, count in enumerate(layers):
            blocks, planes = [], 64 << i
            for j in range(count):
                blocks.append(block(channels, planes, 2 if i and not j else 1, groups, width_per_group))
                channels = planes * block.expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if zero_init_residual and isinstance(module, block):
                nn.init.zeros_(module.last_norm[0].weight)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def conv_bn_relu(in_channels, out_channels, kernel, stride=1, groups=1):
    return nn.Sequential(conv(in_channels, out_channels, kernel, stride, groups), nn.BatchNorm2d(out_channels), nn.ReLU())


class InvertedResidual(nn.Module):
    def __init__(self, in_channels, out_channels, stride, ratio):
        super().__init__()
        hidden = in_channels * ratio
        layers = [] if ratio == 1 else [conv_bn_relu(in_channels, hidden, 1)]
        layers += [conv_bn_relu(hidden, hidden, 3, stride, hidden), conv(hidden, out_channels, 1), nn.BatchNorm2d(out_channels)]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, num_classes=1000, width_mult=1.0, round_nearest=8):
        super().__init__()

        def scaled(channels, factor=width_mult):
            value = channels * factor
            rounded = max(round_nearest, int(value + round_nearest / 2) // round_nearest * round_nearest)
            return rounded + round_nearest if rounded < 0.9 * value else rounded

        channels, last = scaled(32), scaled(1280, max(1.0, width_mult))
        layers = [conv_bn_relu(3, channels, 3, 2)]
        for ratio, out, count, stride in (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
        ):
            for i in range(count):
                layers.append(InvertedResidual(channels, scaled(out), stride if i == 0 else 1, ratio))
                channels = scaled(out)
        self.features = nn.Sequential(*layers, conv_bn_relu(channels, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def settled(model):
    """With statistics that are not those of a fresh batch norm."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def as_saved_by_torch_0_3(state_dict):
    """Batch norms did not count their batches then, and torchvision still hands out such checkpoints."""
    buffer = io.BytesIO()
    torch.save({name: value for name, value in state_dict.items() if not name.endswith("num_batches_tracked")}, buffer)
    return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)


models = {
    "resnet18": lambda: ResNet(BasicBlock, (2, 2, 2, 2)),
    "resnet50": lambda: ResNet(Bottleneck, (3, 4, 6, 3), num_classes=10),
    "resnext": lambda: ResNet(Bottleneck, (1, 2, 1, 1), 7, zero_init_residual=True, groups=8, width_per_group=12),
    "mobilenet_v2": lambda: MobileNetV2(),
    "narrow_mobilenet_v2": lambda: MobileNetV2(num_classes=10, width_mult=0.35),
}
answers = {}
with torch.no_grad():
    for name, make in models.items():
        torch.manual_seed(11)
        model = make()
        state = model.state_dict()
        answer = {
            "shapes": {key: torch.tensor(value.shape, dtype=torch.int64) for key, value in state.items()},
            "first_values": {key: value.flatten()[:8].clone() for key, value in state.items()},
            "sums": {key: value.double().sum() for key, value in state.items()},
        }
        settled(model)
        x = torch.randn(2, 3, 64, 64)
        statistics = {key: value for key, value in model.named_buffers() if "running" in key}
        answer |= {"statistics": statistics, "x": x, "out": model(x)}
        if name == "narrow_mobilenet_v2":
            answer["checkpoint"] = as_saved_by_torch_0_3(model.state_dict())
        answers[name] = answer
save(answers)
