"""What torch.ao's HistogramObserver holds after every batch of many streams, and the qparams it searches."""

import warnings

import torch
from torch.ao.quantization.observer import HistogramObserver

from oracle_support import save

warnings.simplefilter("ignore")
torch.manual_seed(3)


def streams():
    normal = [torch.randn(40, 25) for _ in range(4)]
    growing = [torch.randn(30, 7) * 1.7**i for i in range(5)]
    return {
        "normal": normal,
        "positive": [batch.relu() for batch in normal],
        "negative": [-batch.abs() - 3 for batch in normal],
        "growing": growing,
        "shrinking": growing[::-1],
        "outlier late": normal[:2] + [torch.tensor([250.0, -1.0])],
        "heavy tails": [torch.randn(500) / torch.rand(500) for _ in range(3)],
        "constant": [torch.full((6,), 2.5)] * 3,
        "zero": [torch.zeros(5)] * 2,
        "constant, then wider": [torch.full((6,), 0.5)] * 2 + normal,
        "one value": [torch.tensor([-0.3])],
        "tiny": [batch * 1e-38 for batch in normal[:2]],
        "wide": [batch * 1e30 for batch in normal[:2]],
        "double": [batch.double() * (1 + i / 3) for i, batch in enumerate(normal)],
        "half": [batch.half() for batch in growing],
        "bfloat16": [batch.bfloat16() for batch in growing],
        "with an empty batch": [normal[0], torch.zeros(0), normal[1] * 2],
    }


OPTIONS = [
    {},
    {"reduce_range": True},
    {"dtype": "qint8", "qscheme": "per_tensor_symmetric", "bins": 100},
    {"dtype": "qint8", "eps": 2**-12, "bins": 64},
    {"quant_min": 0, "quant_max": 127, "bins": 1},
    {"dtype": "quint4x2", "bins": 257},
    {"dtype": "qint32", "bins": 128},
]


def answers(kwargs, batches):
    observer = HistogramObserver(**{key: getattr(torch, value) if isinstance(value, str) else value
                                    for key, value in kwargs.items()})
    states = []
    for batch in batches:
        assert observer(batch) is batch
        states.append([observer.histogram.clone(), observer.min_val.clone(), observer.max_val.clone()])
    scale, zero_point = observer.calculate_qparams()
    return {"states": states, "scale": scale, "zero_point": zero_point, "printed": repr(observer)}


batches_of = streams()
infinite = torch.tensor([1.0, float("inf"), -2.0, 0.5, float("-inf")])
batches_of["infinite"] = [infinite, torch.full((3,), float("inf")), infinite * 3]
save({
    "streams": batches_of,
    "cases": [{"options": kwargs, "stream": stream, **answers(kwargs, batches)}
              for kwargs in OPTIONS for stream, batches in batches_of.items()],
})
