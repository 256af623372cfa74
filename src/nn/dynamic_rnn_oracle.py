"""Python's dynamically quantized recurrent modules, whose activations have seven bits, and their float originals."""

import itertools

import torch
from torch.ao.quantization import (
    default_dynamic_qconfig,
    float16_dynamic_qconfig,
    per_channel_dynamic_qconfig,
    quantize_dynamic,
)
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from oracle_support import save

torch.manual_seed(3)
torch.backends.quantized.engine = "fbgemm"

QCONFIGS = {
    "qint8": default_dynamic_qconfig,
    "qint8_per_channel": per_channel_dynamic_qconfig,
    "float16": float16_dynamic_qconfig,
}


def tensors(result):
    """All tensors of a result, in order; those of a packed sequence without its bookkeeping."""
    if isinstance(result, torch.Tensor):
        return [result.detach()]
    if isinstance(result, PackedSequence):
        return [result.data.detach()]
    return [tensor for part in result for tensor in tensors(part)]


def answers(module, inputs, **description):
    """What the float module and its quantized forms answer to each of the inputs, `(x, hx)`."""

    def results(of):
        return [tensor for x, hx in inputs for tensor in tensors(of(x, hx))]

    case = description | {"parameters": dict(module.state_dict()), "float": results(module)}
    for name, qconfig in QCONFIGS.items():
        quantized = quantize_dynamic(torch.nn.Sequential(module), {type(module): qconfig})[0]
        weights = {} if name == "float16" else {k: w.int_repr() for k, w in quantized.get_weight().items()}
        case[name] = {"results": results(quantized), "weights": weights}
    return case


def hidden(cls, *sizes):
    """One state, or two for an LSTM, as a list."""
    return [torch.randn(*sizes) for _ in range(2 if cls in (torch.nn.LSTM, torch.nn.LSTMCell) else 1)]


def argument(states):
    return tuple(states) if len(states) == 2 else states[0]


sequences = []
lengths = torch.tensor([4, 6, 1])
options = itertools.product((torch.nn.LSTM, torch.nn.GRU), (1, 2), (False, True), (False, True))
for cls, layers, bidirectional, batch_first in options:
    module = cls(12, 10, num_layers=layers, bidirectional=bidirectional, batch_first=batch_first).eval()
    x = torch.randn(3, 6, 12) if batch_first else torch.randn(6, 3, 12)
    hx = hidden(cls, layers * (2 if bidirectional else 1), 3, 10)
    packed = pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
    inputs = [(x, argument(hx)), (packed, argument(hx))]
    flags = {"layers": layers, "bidirectional": bidirectional, "batch_first": batch_first}
    sequences.append(answers(module, inputs, **{"class": cls.__name__, "x": x, "hx": hx, "lengths": lengths}, **flags))

cells = []
for cls, kwargs in [
    (torch.nn.LSTMCell, {}),
    (torch.nn.GRUCell, {}),
    (torch.nn.RNNCell, {}),
    (torch.nn.RNNCell, {"nonlinearity": "relu"}),
]:
    x, hx = torch.randn(4, 12), hidden(cls, 4, 10)
    description = {"class": cls.__name__, "relu": bool(kwargs), "x": x, "hx": hx}
    cells.append(answers(cls(12, 10, **kwargs), [(x, argument(hx))], **description))

save({"sequences": sequences, "cells": cells})
