"""The calibrations that torch.ao lacks, written a second time: plainly, over all values of a stream at once."""

import math

import torch
from torch.ao.quantization.observer import MinMaxObserver

from oracle_support import save

torch.manual_seed(7)
BINS = 512
STREAMS = {
    "normal": [torch.randn(3000) for _ in range(3)],
    "positive": [torch.randn(3000).relu() * 2**i for i in range(3)],
    "negative": [-torch.rand(2000) * 7 for _ in range(2)],
    "lopsided": [torch.cat([torch.randn(4000) * 0.1, torch.rand(4000) * 5]) for _ in range(2)],
    "outliers": [torch.randn(5000), torch.tensor([40.0, -60.0]), torch.randn(5000)],
    "heavy tails": [torch.randn(4000) / torch.rand(4000)],
    "tiny": [torch.randn(500) * 1e-38],
    "constant": [torch.full((100,), 0.7)],
    "zero": [torch.zeros(10)],
}
OPTIONS = {
    "affine": {"dtype": "quint8", "qscheme": "per_tensor_affine"},
    "symmetric": {"dtype": "qint8", "qscheme": "per_tensor_symmetric"},
    "narrow": {"dtype": "qint8", "qscheme": "per_tensor_affine", "quant_min": -8, "quant_max": 7},
}


def counts_of(values):
    """Bin width, and counts by magnitude of the values below zero and of the others."""
    largest = max(abs(value) for value in values)
    exponent = -150
    while BINS * 2.0**exponent <= largest:
        exponent += 1
    negative, positive = [0] * BINS, [0] * BINS
    for value in values:
        (negative if value < 0 else positive)[math.floor(abs(value) / 2.0**exponent)] += 1
    return 2.0**exponent, negative, positive


def entropy_bins(magnitudes, levels):
    """The number of bins to keep, as NVIDIA's pytorch-quantization chooses it."""
    bins = [magnitudes[1], *magnitudes[1:]]
    divergences = {}
    for kept in range(levels, BINS + 1):
        level_of = [b * levels // kept for b in range(kept)]
        sums, filled = [0] * levels, [0] * levels
        for b in range(kept):
            sums[level_of[b]] += bins[b]
            filled[level_of[b]] += bins[b] != 0
        q = [sums[level_of[b]] / filled[level_of[b]] if bins[b] else 0.0 for b in range(kept)]
        p = [float(count) for count in bins[:kept]]
        p[-1] += sum(bins[kept:])
        p, q = torch.tensor(p, dtype=torch.double), torch.tensor(q, dtype=torch.double)
        if p.sum() == 0 or q.sum() == 0:
            continue
        p, q = p / p.sum(), q / q.sum()
        if ((q == 0) & (p > 0)).any():
            continue
        seen = p > 0
        divergences[kept] = (p[seen] * (p[seen] / q[seen]).log()).sum().item()
    return max((kept for kept in divergences if divergences[kept] <= min(divergences.values()) + 1e-12), default=BINS)


def observer_with(kwargs):
    return MinMaxObserver(**{key: getattr(torch, value) if isinstance(value, str) else value
                             for key, value in kwargs.items()})


def qparams_of(kwargs, low, high):
    observer = observer_with(kwargs)
    observer(torch.tensor([low, high], dtype=torch.double).float())
    return observer.calculate_qparams()


def entropy_range(kwargs, low, high, width, negative, positive):
    observer = observer_with(kwargs)
    levels = observer.quant_max - observer.quant_min + 1
    if (low < 0 < high) or "symmetric" in kwargs["qscheme"]:
        levels //= 2
    limit = width * entropy_bins([a + b for a, b in zip(negative, positive)], levels)
    return max(low, -limit), min(high, limit)


def percentile_range(kwargs, low, high, width, negative, positive, percentile=99.0):
    total = sum(negative) + sum(positive)
    share = (100 - percentile) / 100 * total

    def kept(counts, budget):
        bins = len(counts)
        while bins and sum(counts[bins - 1:]) <= budget:
            bins -= 1
        return bins

    if "symmetric" in kwargs["qscheme"]:
        limit = width * kept([a + b for a, b in zip(negative, positive)], share)
        return max(low, -limit), min(high, limit)
    below = kept(positive[::-1] + negative, share / 2) - BINS  # bins kept below zero, if any
    above = kept(negative[::-1] + positive, share / 2) - BINS
    return max(low, -below * width), min(high, above * width)


def mse_range(kwargs, low, high, width, negative, positive, candidates=50):
    observer = observer_with(kwargs)
    middles = torch.tensor([(b + 0.5) * width for b in range(BINS)], dtype=torch.double)
    middles[0] = 0
    values = torch.cat([-middles, middles])
    weights = torch.tensor(negative + positive, dtype=torch.double)
    best = None
    for step in range(candidates, 0, -1):
        part = step / candidates
        scale, zero_point = (t.double() for t in qparams_of(kwargs, low * part, high * part))
        q = ((values / scale).round() + zero_point).clamp(observer.quant_min, observer.quant_max)
        error = (weights * ((q - zero_point) * scale - values) ** 2).sum().item()
        if best is None or error < best[0] * (1 - 1e-12):
            best = (error, low * part, high * part)
    return best[1:]


RANGES = {"EntropyObserver": entropy_range, "PercentileObserver": percentile_range, "MSEObserver": mse_range}

cases = []
for stream, batches in STREAMS.items():
    values = torch.cat(batches).tolist()
    low, high = min(values), max(values)
    width, negative, positive = counts_of(values)
    for kwargs in OPTIONS.values():
        for name, range_of in RANGES.items():
            scale, zero_point = qparams_of(kwargs, *range_of(kwargs, low, high, width, negative, positive))
            cases.append({"observer": name, "options": {**kwargs, "bins": BINS}, "stream": stream, "bin_width": width,
                          "histogram": torch.tensor(negative[::-1] + positive), "scale": scale, "zero_point": zero_point})
save({"streams": STREAMS, "cases": cases})
