"""A float model with one quantized layer in it, as Python wraps it."""

import torch
from torch.ao.quantization import MinMaxObserver, QConfig, add_quant_dequant, convert, default_weight_observer, prepare

from oracle_support import save

torch.backends.quantized.engine = "onednn"  # its sums don't saturate
torch.manual_seed(11)
model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Linear(8, 5), torch.nn.Tanh()).eval()
before = {key: value.clone() for key, value in model.state_dict().items()}
calibration, x = torch.randn(64, 6), torch.randn(16, 6)
model[1].qconfig = QConfig(activation=MinMaxObserver.with_args(dtype=torch.quint8), weight=default_weight_observer)
add_quant_dequant(model)
prepare(model, inplace=True)
model(calibration)
convert(model, inplace=True)
wrapper = model[1]
save(
    {
        "before": before,
        "calibration": calibration,
        "x": x,
        "y": model(x),
        "input_scale": float(wrapper.quant.scale),
        "input_zero_point": int(wrapper.quant.zero_point),
        "output_scale": float(wrapper.module.scale),
    }
)
