"""Python's statically quantized MultiheadAttention: what calibration finds for its parts, and the integers of its results."""

import torch
from torch import nn
from torch.ao.nn.quantizable import MultiheadAttention as QuantizableMultiheadAttention
from torch.ao.nn.quantized import MultiheadAttention as QuantizedMultiheadAttention
from torch.ao.quantization import QuantStub, convert, default_qconfig, prepare

from oracle_support import save

torch.backends.quantized.engine = "fbgemm"
torch.manual_seed(7)

TARGET, SOURCE, BATCH, EMBED, HEADS = 5, 7, 3, 16, 4
MASKS = {
    "none": (None, None),
    "bool": (torch.rand(BATCH, SOURCE) < 0.3, torch.rand(TARGET, SOURCE) < 0.3),
    "float": (None, torch.randn(BATCH * HEADS, TARGET, SOURCE)),
}


class Model(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.quant_q, self.quant_k, self.quant_v = QuantStub(), QuantStub(), QuantStub()
        self.attention = attention

    def forward(self, query, key, value, **options):
        return self.attention(self.quant_q(query), self.quant_k(key), self.quant_v(value), **options)


def integers(tensor):
    return {"integers": tensor.int_repr(), "scale": tensor.q_scale(), "zero_point": tensor.q_zero_point()}


def answers(masks="none", average=True, bias=True, zero_attn=False, kdim=EMBED, vdim=EMBED):
    attention = nn.MultiheadAttention(EMBED, HEADS, bias=bias, add_zero_attn=zero_attn, kdim=kdim, vdim=vdim).eval()
    for name, parameter in attention.named_parameters():
        nn.init.normal_(parameter, 0, 0.4)
    parameters = {name: value.detach().clone() for name, value in attention.named_parameters()}
    calibration = [
        [torch.randn(TARGET, BATCH, EMBED), torch.randn(SOURCE, BATCH, kdim), torch.randn(SOURCE, BATCH, vdim)] for _ in range(3)
    ]
    key_padding_mask, attn_mask = MASKS[masks]
    options = {"key_padding_mask": key_padding_mask, "attn_mask": attn_mask, "average_attn_weights": average}
    model = Model(attention).eval()
    float_out = model(*calibration[-1], **options)[0].detach()
    model.qconfig = default_qconfig
    prepare(model, inplace=True, prepare_custom_config_dict={
        "float_to_observed_custom_module_class": {nn.MultiheadAttention: QuantizableMultiheadAttention}})
    for batch in calibration:
        model(*batch, **options)
    convert(model, inplace=True, convert_custom_config_dict={
        "observed_to_quantized_custom_module_class": {QuantizableMultiheadAttention: QuantizedMultiheadAttention}})
    output, weights = model(*calibration[-1], **options)
    stubs = {path: module for path, module in model.attention.named_modules() if hasattr(module, "scale")}
    return {
        "average": average, "bias": bias, "zero_attn": zero_attn, "kdim": kdim, "vdim": vdim, "parameters": parameters,
        "key_padding_mask": key_padding_mask, "attn_mask": attn_mask, "calibration": calibration, "float": float_out,
        "qparams": {path: [float(m.scale), float(m.zero_point)] for path, m in stubs.items() if path != "q_scaling_product"},
        "output": integers(output), "weights": integers(weights),
    }


save({"cases": [
    answers(),
    answers(average=False, bias=False),
    answers(masks="bool"),
    answers(masks="float", average=False),
    answers(masks="bool", zero_attn=True),
    answers(kdim=12, vdim=20),
]})
