"""Python's dynamically quantized recurrent modules (seven-bit activations), and their float originals."""

import itertools

import torch
from torch.ao.quantization import quantize_dynamic

from oracle_support import save

torch.manual_seed(3)
torch.backends.quantized.engine = "fbgemm"


def answers(module, x):
    case = {"x": x, "parameters": {k: v.detach() for k, v in module.state_dict().items()}, "float_out": first(module(x))}
    for dtype, name in [(torch.qint8, "qint8"), (torch.float16, "float16")]:
        case[name] = first(quantize_dynamic(torch.nn.Sequential(module), {type(module)}, dtype=dtype)[0](x))
    return case


def first(result):
    return (result[0] if isinstance(result, tuple) else result).detach()


sequences = []
for cls, layers, bidirectional in itertools.product((torch.nn.LSTM, torch.nn.GRU), (1, 2), (False, True)):
    module = cls(12, 10, num_layers=layers, bidirectional=bidirectional).eval()
    case = answers(module, torch.randn(6, 3, 12))
    sequences.append(case | {"class": cls.__name__, "layers": layers, "bidirectional": bidirectional})

cells = []
for cls, kwargs in [(torch.nn.LSTMCell, {}), (torch.nn.GRUCell, {}), (torch.nn.RNNCell, {}), (torch.nn.RNNCell, {"nonlinearity": "relu"})]:
    cells.append(answers(cls(12, 10, **kwargs), torch.randn(4, 12)) | {"class": cls.__name__, "relu": bool(kwargs)})

save({"sequences": sequences, "cells": cells})
