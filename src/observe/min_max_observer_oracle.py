"""What torch.ao's minimum and maximum observers answer after every batch of many streams, for a grid of options."""

import itertools
import warnings

import torch
from torch.ao.quantization import observer

from oracle_support import save

warnings.simplefilter("ignore")
torch.manual_seed(1)


def streams():
    """Name -> list of batches with 3 channels in dimension 1."""
    normal = [torch.randn(4, 3, 5) * 3 + 1 for _ in range(4)]
    return {
        "normal": normal,
        "positive": [batch.abs() for batch in normal],
        "negative": [-batch.abs() - 0.5 for batch in normal],
        "constant": [torch.full((2, 3, 2), 1.25)] * 2,
        "zero": [torch.zeros(2, 3, 2)] * 2,
        "tiny": [batch * 1e-38 for batch in normal],
        "subnormal": [batch * 1e-44 for batch in normal],
        "huge": [batch * 1e37 for batch in normal],
        "one value a channel": [torch.tensor([[[0.3], [-0.7], [1e-3]]])],
        "half": [batch.half() for batch in normal],
        "bfloat16": [batch.bfloat16() for batch in normal],
        "double": [batch.double() + 1e-12 for batch in normal],
        "with an empty batch": [normal[0], torch.zeros(0, 3, 5), normal[1]],
        "strided": [batch.transpose(0, 2) for batch in normal],
    }


def options():
    """The observer's class and keyword arguments that are valid together."""
    qranges = [{}, {"reduce_range": True}, {"quant_min": -5, "quant_max": 100}, {"eps": 2**-12},
               {"quant_min": -127, "quant_max": 127, "reduce_range": True}]
    kinds = {
        "MinMaxObserver": ({}, ["per_tensor_affine", "per_tensor_symmetric"]),
        "MovingAverageMinMaxObserver": ({"averaging_constant": 0.3}, ["per_tensor_affine", "per_tensor_symmetric"]),
        "PerChannelMinMaxObserver":
            ({"ch_axis": 1}, ["per_channel_affine", "per_channel_symmetric", "per_channel_affine_float_qparams"]),
        "MovingAveragePerChannelMinMaxObserver":
            ({"ch_axis": -2, "averaging_constant": 0.01},
             ["per_channel_affine", "per_channel_symmetric", "per_channel_affine_float_qparams"]),
    }
    for name, (own, qschemes) in kinds.items():
        for qscheme, dtype, qrange in itertools.product(qschemes, ["quint8", "qint8", "qint32", "quint4x2"], qranges):
            unsigned = dtype in ("quint8", "quint4x2")
            if unsigned and qrange.get("quant_min", 0) < 0:
                qrange = {**qrange, "quant_min": 0, "quant_max": 15}
            if unsigned and "symmetric" in qscheme and qrange.get("reduce_range") and dtype == "quint8":
                continue
            yield name, {"qscheme": qscheme, "dtype": dtype, **own, **qrange}


def answers(name, kwargs, batches):
    module = getattr(observer, name)(**{key: getattr(torch, value) if isinstance(value, str) else value
                                        for key, value in kwargs.items()})
    ranges = []
    for batch in batches:
        assert module(batch) is batch
        ranges.append([module.min_val.clone(), module.max_val.clone()])
    scale, zero_point = module.calculate_qparams()
    return {"ranges": ranges, "scale": scale, "zero_point": zero_point, "printed": repr(module),
            "quant_min": module.quant_min, "quant_max": module.quant_max}


batches_of = streams()
save({
    "streams": batches_of,
    "cases": [{"observer": name, "options": kwargs, "stream": stream, **answers(name, kwargs, batches)}
              for name, kwargs in options() for stream, batches in batches_of.items()],
})
