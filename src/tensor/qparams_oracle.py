"""Scale and zero point for a grid of ranges, as torch.ao's observers and ATen's dynamic quantization choose them."""

import itertools

import torch
from torch.ao.quantization.observer import UniformQuantizationObserverBase

from oracle_support import save

RANGES = [
    (-1.0, 2.0), (-1.0, 1.0), (0.0, 0.0), (0.0, 3.0), (-3.0, 0.0), (2.0, 5.0), (-5.0, -2.0), (7.0, 7.0), (-7.0, -7.0),
    (-1e-30, 1e-30), (-1e-38, 3e-38), (0.0, 1e-45), (-1e-6, 3e-6), (-3e38, 3e38), (-1e30, 2.0), (-1e-3, 1e30), (-0.1, 254.9),
    (-127.5, 127.5), (-128.0, 127.0), (-63.5, 64.0), (-0.3333, 0.6667), (-1e10, 4e10), (-6.1e-5 * 255, 0.0), (0.0, 6.1e-5 * 255),
]
RANDOM = torch.Generator().manual_seed(7)


class Formula(UniformQuantizationObserverBase):
    """The formula that observers inherit, without what each of them adds."""

    def forward(self, x):
        return x

    def calculate_qparams(self):
        raise NotImplementedError


def random_ranges(count):
    ends = torch.randn(count, 2, generator=RANDOM) * 10 ** (torch.rand(count, 1, generator=RANDOM) * 12 - 6)
    return [tuple(sorted(pair)) for pair in ends.tolist()]


def observer_answers():
    ranges = RANGES + random_ranges(200)
    min_val, max_val = (torch.tensor(values) for values in zip(*ranges))
    dtypes = ["quint8", "qint8", "qint32", "quint4x2"]
    qschemes = ["per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric",
                "per_channel_affine_float_qparams"]
    quant_ranges = [None, (0, 127), (-64, 63), (0, 15), (-8, 7), (-3, 11), (0, 255), (-128, 127)]
    epsilons = [torch.finfo(torch.float32).eps, 2**-12, 1e-10]
    cases = []
    for dtype, qscheme, quant_range, reduce_range, eps in itertools.product(
            dtypes, qschemes, quant_ranges, [False, True], epsilons):
        low, high = quant_range or (None, None)
        observer = Formula(dtype=getattr(torch, dtype), qscheme=getattr(torch, qscheme), reduce_range=reduce_range,
                           quant_min=low, quant_max=high, eps=eps)
        if observer.quant_min >= observer.quant_max:
            continue
        scale, zero_point = observer._calculate_qparams(min_val, max_val)
        cases.append({"dtype": dtype, "qscheme": qscheme, "quant_min": observer.quant_min, "quant_max": observer.quant_max,
                      "eps": eps, "customized": quant_range is not None, "scale": scale,
                      "zero_point": zero_point if zero_point.is_floating_point() else zero_point.long()})
    return {"min": min_val, "max": max_val, "cases": cases}


def dynamic_answers():
    ranges = RANGES + random_ranges(300)
    rows = []
    for low, high in ranges:
        for reduce_range in (False, True):
            scale, zero_point = torch._choose_qparams_per_tensor(torch.tensor([low, high]), reduce_range)
            signed = torch.quantize_per_tensor_dynamic(torch.tensor([low, high]), torch.qint8, reduce_range)
            rows.append([low, high, reduce_range, scale, zero_point, signed.q_scale(), signed.q_zero_point()])
    return torch.tensor(rows, dtype=torch.float64)


save({"observer": observer_answers(), "dynamic": dynamic_answers()})
