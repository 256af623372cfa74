"""Quantization-aware training of a small network by Python's torch.ao: losses, gradients, keys and what it converts to.

The network learns to tell five noisy colors apart.
"""

import torch
from torch.ao.nn.intrinsic.qat import freeze_bn_stats
from torch.ao.quantization import convert, default_qat_qconfig, disable_observer, fuse_modules_qat, get_default_qat_qconfig, prepare_qat

from oracle_support import save
from residual_network import GROUPS, random_residual, state_of

torch.backends.quantized.engine = "fbgemm"

STEPS, FREEZE_BN_AT, DISABLE_OBSERVER_AT = 160, 100, 130


def trained_case(name, qconfig):
    model = random_residual(21).train()
    case = {"name": name}
    case.update({f"state/{key}": value for key, value in state_of(model).items()})
    colors = 2 * torch.randn(5, 3, 1, 1).expand(5, 3, 9, 9)
    labels, test_labels = torch.randint(5, (STEPS, 16)), torch.randint(5, (500,))
    x, test_x = colors[labels] + torch.randn(STEPS, 16, 3, 9, 9), colors[test_labels] + torch.randn(500, 3, 9, 9)
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
    model.eval()
    case.update({"x": x, "labels": labels, "test_x": test_x, "test_labels": test_labels, "losses": torch.stack(losses)})
    convert(model, inplace=True)
    case["out"] = model(test_x).detach()
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
