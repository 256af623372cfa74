"""Training steps of torch.ao's quantization-aware training, on request: a line of input is a step, and its loss the answer.

The networks are those of octet::models, with torchvision's structure.
"""

import sys
import warnings

import torch
from torch import nn
from torch.ao.nn.quantized import FloatFunctional
from torch.ao.quantization import DeQuantStub, QuantStub, fuse_modules_qat, get_default_qat_qconfig, prepare_qat

warnings.filterwarnings("ignore")


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.add = FloatFunctional()

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.add.add_relu(out, x if self.downsample is None else self.downsample(x))

    def fuse(self):
        fuse_modules_qat(self, [["conv1", "bn1", "relu"], ["conv2", "bn2"]], inplace=True)
        if self.downsample is not None:
            fuse_modules_qat(self.downsample, ["0", "1"], inplace=True)


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expand):
        super().__init__()
        hidden = inputs * expand
        layers = []
        if expand != 1:
            layers += [nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU()]
        layers += [nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU()]
        layers += [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)
        self.add = FloatFunctional() if stride == 1 and inputs == outputs else None

    def forward(self, x):
        return self.conv(x) if self.add is None else self.add.add(x, self.conv(x))

    def fuse(self):
        count = len(self.conv)
        groups = [[str(i), str(i + 1), str(i + 2)] for i in range(0, count - 2, 3)] + [[str(count - 2), str(count - 1)]]
        fuse_modules_qat(self.conv, groups, inplace=True)


class Network(nn.Module):
    def __init__(self, stem, body, channels):
        super().__init__()
        self.quant, self.dequant = QuantStub(), DeQuantStub()
        self.stem, self.body, self.fc = stem, body, nn.Linear(channels, 1000)

    def forward(self, x):
        x = self.body(self.stem(self.quant(x)))
        return self.dequant(self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1)))

    def fuse(self):
        fuse_modules_qat(self.stem, ["0", "1", "2"], inplace=True)
        for block in self.body:
            if isinstance(block, nn.Sequential):
                fuse_modules_qat(block, ["0", "1", "2"], inplace=True)
            else:
                block.fuse()
        return self


def resnet18():
    stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
    return Network(stem, nn.Sequential(*(BasicBlock(*width) for width in widths)), 512)


def mobilenet_v2():
    stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
    blocks, inputs = [], 32
    for expand, outputs, count, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(count):
            blocks.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expand))
            inputs = outputs
    blocks.append(nn.Sequential(nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU()))
    return Network(stem, nn.Sequential(*blocks), 1280)


def main():
    network, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = {"resnet18": resnet18, "mobilenetv2": mobilenet_v2}[network]().train().fuse()
    model.qconfig = get_default_qat_qconfig("x86")
    prepare_qat(model, inplace=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x, labels = torch.randn(batch, 3, 224, 224), torch.randint(1000, (batch,))
    print("ready", flush=True)
    for _ in sys.stdin:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        print(loss.item(), flush=True)


main()
