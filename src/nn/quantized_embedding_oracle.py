"""Python's quantized embedding tables: their integers, their qparams, and what they look up and sum."""

import torch
import torch.ao.nn.quantized as nnq
from torch.ao.quantization import (
    PerChannelMinMaxObserver,
    default_float_qparams_observer,
    default_float_qparams_observer_4bit,
    float_qparams_weight_only_qconfig,
    float_qparams_weight_only_qconfig_4bit,
)

from oracle_support import save

# torch.ao has no observer of two bits; one of eight bits with the same range chooses the same qparams.
default_float_qparams_observer_2bit = PerChannelMinMaxObserver.with_args(
    dtype=torch.quint8, qscheme=torch.per_channel_affine_float_qparams, ch_axis=0, quant_min=0, quant_max=3
)


def table(rows, dim, huge):
    """Rows of very different ranges: zeros, a constant, one sign only, tiny, huge."""
    weight = torch.randn(rows, dim)
    special = [torch.zeros(dim), torch.full((dim,), 2.5), weight[2].abs() + 1, -weight[3].abs() - 1, weight[4] * 1e-6, weight[5] * huge]
    for i, row in enumerate(special):
        weight[i] = row
    return weight


torch.manual_seed(1)
cases = []
for rows, dim in [(9, 1), (7, 5), (40, 16), (300, 33), (20, 64)]:
    for dtype, observer in [
        (torch.quint8, default_float_qparams_observer),
        (torch.quint4x2, default_float_qparams_observer_4bit),
        (torch.quint2x4, default_float_qparams_observer_2bit),
    ]:
        # torch.ao holds scale and bias of four bits in half precision, which ends at 65504.
        weight = table(rows, dim, huge=1e3 if dtype == torch.quint4x2 else 1e6)
        weight_observer = observer()
        weight_observer(weight)
        scale, zero_point = weight_observer.calculate_qparams()
        quantized = torch.quantize_per_channel(weight, scale, zero_point, 0, dtype)
        case = {
            "dtype": str(dtype).removeprefix("torch."),
            "weight": weight,
            "scale": scale,
            "zero_point": zero_point,
            "int_repr": quantized.int_repr().flatten(),
            "dequantized": quantized.dequantize(),
        }
        # Of four bits, torch.ao's Embedding fails, and its EmbeddingBag pads odd dimensions; of two bits it has neither.
        if dtype == torch.quint8 or (dtype == torch.quint4x2 and dim % 2 == 0):
            case["indices"] = torch.randint(0, rows, (50,))
            case["offsets"] = torch.tensor([0, 3, 3, 20, 49])
            case["per_sample_weights"] = torch.randn(50)
            module = torch.nn.EmbeddingBag(rows, dim, mode="sum", _weight=weight)
            module.qconfig = float_qparams_weight_only_qconfig if dtype == torch.quint8 else float_qparams_weight_only_qconfig_4bit
            bag = nnq.EmbeddingBag.from_float(module)
            case["embedding"] = bag(case["indices"], torch.arange(50))
            case["bag"] = bag(case["indices"], case["offsets"], case["per_sample_weights"])
        cases.append(case)
save({"cases": cases})
