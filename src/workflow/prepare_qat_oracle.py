"""Quantization-aware training of a small network by Python's torch.ao: losses, gradients, keys and what it converts to."""

import torch
from torch.ao.nn.intrinsic.qat import freeze_bn_stats
from torch.ao.quantization import convert, default_qat_qconfig, disable_observer, fuse_modules_qat, get_default_qat_qconfig, prepare_qat

from oracle_support import save
from residual_network import GROUPS, random_residual, state_of

torch.backends.quantized.engine = "fbgemm"

STEPS, FREEZE_BN_AT, DISABLE_OBSERVER_AT = 8, 4, 6


def trained_case(name, qconfig):
    model = random_residual(21).train()
    case = {"name": name}
    case.update({f"state/{key}": value for key, value in state_of(model).items()})
    x, labels = torch.randn(STEPS, 16, 3, 9, 9), torch.randint(5, (STEPS, 16))
    model = fuse_modules_qat(model, GROUPS)
    model.qconfig = qconfig
    prepare_qat(model, inplace=True)
    case["keys"] = sorted(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    losses = []
    for step in range(STEPS):
        if step == FREEZE_BN_AT:
            model.apply(freeze_bn_stats)
        if step == DISABLE_OBSERVER_AT:
            model.apply(disable_observer)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x[step]), labels[step])
        loss.backward()
        if step == 0:
            case.update({f"gradient/{key}": value.grad.clone() for key, value in model.named_parameters()})
        optimizer.step()
        losses.append(loss.detach())
    case.update({f"trained/{key}": value for key, value in model.state_dict().items() if value.is_floating_point()})
    model.eval()
    case.update({"x": x, "labels": labels, "losses": torch.stack(losses), "fake_quantized": model(x[0]).detach()})
    convert(model, inplace=True)
    case["out"] = model(x[0]).detach()
    for path in ("quant", "conv1", "conv2", "conv3", "conv4", "fc", "out", "skip_add", "join"):
        module = model.get_submodule(path)
        case[f"qparams/{path}"] = torch.tensor([float(module.scale), float(module.zero_point)], dtype=torch.float64)
    return case


save(
    {
        "cases": [
            trained_case("default", default_qat_qconfig),
            trained_case("x86", get_default_qat_qconfig("x86")),
            trained_case("qnnpack", get_default_qat_qconfig("qnnpack")),
            trained_case("onednn", get_default_qat_qconfig("onednn")),
        ]
    }
)
