"""Python's statically quantized LSTM: the scales that calibration finds for its parts, and the integers of its results."""

import itertools

import torch
from torch import nn
from torch.ao.nn.quantizable import LSTM as QuantizableLSTM
from torch.ao.quantization import DeQuantStub, QuantStub, convert, default_qconfig, get_default_qconfig, prepare

from oracle_support import save

torch.backends.quantized.engine = "fbgemm"
torch.manual_seed(5)

QCONFIGS = {"minmax": default_qconfig, "histogram": get_default_qconfig("fbgemm")}


class Model(nn.Module):
    """An LSTM with quantized input and initial states."""

    def __init__(self, lstm):
        super().__init__()
        self.quant, self.quant_h, self.quant_c, self.dequant = QuantStub(), QuantStub(), QuantStub(), DeQuantStub()
        self.lstm = lstm

    def forward(self, x, hx=None):
        if hx is not None:
            hx = self.quant_h(hx[0]), self.quant_c(hx[1])
        return self.lstm(self.quant(x), hx)


def integers(tensor):
    return {"integers": tensor.int_repr(), "scale": tensor.q_scale(), "zero_point": tensor.q_zero_point()}


def answers(which, layers, bidirectional, batch_first, bias, with_states, steps=12):
    lstm = nn.LSTM(10, 8, layers, bias, batch_first, 0.0, bidirectional).eval()
    for parameter in lstm.parameters():
        nn.init.normal_(parameter, 0, 0.4)
    parameters = {name: value.detach().clone() for name, value in lstm.named_parameters()}
    rows = layers * (2 if bidirectional else 1)
    calibration = [(torch.randn(steps, 6, 10), torch.randn(2, rows, 6, 8) * 0.5) for _ in range(3)]
    if batch_first:
        calibration = [(x.transpose(0, 1).contiguous(), hx) for x, hx in calibration]
    model = Model(lstm).eval()

    def run(x, hx):
        return model(x, (hx[0], hx[1]) if with_states else None)

    x, hx = calibration[-1]
    float_out = run(x, hx)[0].detach()
    model.qconfig = QCONFIGS[which]
    prepare(model, inplace=True, prepare_custom_config_dict={"float_to_observed_custom_module_class": {nn.LSTM: QuantizableLSTM}})
    for batch in calibration:
        run(*batch)
    convert(model, inplace=True, convert_custom_config_dict={
        "observed_to_quantized_custom_module_class": {QuantizableLSTM: torch.ao.nn.quantized.LSTM}})
    output, (h, c) = run(x, hx)
    qparams, weights = {}, {}
    for path, module in model.lstm.named_modules():
        if hasattr(module, "scale"):
            qparams[path] = [float(module.scale), float(module.zero_point)]
        if isinstance(module, torch.ao.nn.quantized.Linear):
            weights[path] = module.weight().int_repr()
    return {
        "qconfig": which, "layers": layers, "bidirectional": bidirectional, "batch_first": batch_first, "bias": bias,
        "with_states": with_states, "parameters": parameters, "calibration": [list(batch) for batch in calibration],
        "float": float_out, "qparams": qparams, "weights": weights,
        "output": integers(output), "h": integers(h), "c": integers(c),
    }


cases = [
    answers("minmax", layers, bidirectional, batch_first, bias=layers == 2, with_states=batch_first)
    for layers, bidirectional, batch_first in itertools.product((1, 2), (False, True), (False, True))
] + [answers("histogram", 2, True, False, bias=True, with_states=True)]
steps = [answers("minmax", 1, False, False, True, with_states, steps=1) for with_states in (False, True)]
save({"cases": cases, "single_steps": steps})
