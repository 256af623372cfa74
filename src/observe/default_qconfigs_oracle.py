"""What every QConfig of torch.ao makes: the observers' classes, options, and qparams after one batch."""

import warnings

import torch
from torch.ao.quantization import fake_quantize, get_default_qat_qconfig, get_default_qconfig, observer, qconfig
from torch.ao.quantization import get_default_qat_qconfig_mapping, get_default_qconfig_mapping

from oracle_support import save

warnings.simplefilter("ignore")
BATCH = torch.tensor([[-1.5, 0.25, 0.0, 0.5], [2.0, 3.0, -7.0, 1.0]])


def name_of(torch_constant):
    return str(torch_constant).removeprefix("torch.")


def described(factory):
    made = factory()
    inner = getattr(made, "activation_post_process", made)
    answer = {"class": type(made).__name__, "observer": type(inner).__name__}
    for key in ("dtype", "qscheme"):
        if hasattr(inner, key):
            answer[key] = name_of(getattr(inner, key))
    keys = ["is_dynamic"]
    if not isinstance(inner, observer.PlaceholderObserver):
        keys += ["quant_min", "quant_max", "reduce_range", "averaging_constant", "ch_axis", "bins"]
    for key in keys:
        if hasattr(inner, key):
            answer[key] = getattr(inner, key)
    if hasattr(inner, "quant_min") and not isinstance(inner, observer.PlaceholderObserver):
        answer["output"] = made(BATCH.clone())
        answer["scale"], answer["zero_point"] = made.calculate_qparams()
    if isinstance(getattr(inner, "eps", None), torch.Tensor):
        answer["eps"] = inner.eps
    return answer


def described_qconfig(config):
    return {"activation": described(config.activation), "weight": described(config.weight)}


def described_mapping(mapping):
    answers = {getattr(key, "__name__", key): described_qconfig(value)
               for key, value in mapping.object_type_qconfigs.items()
               if isinstance(key, type) and issubclass(key, torch.nn.Module)}
    return {"": described_qconfig(mapping.global_qconfig), **answers}


backends = ["fbgemm", "x86", "qnnpack", "onednn"]
save({
    "batch": BATCH,
    "observers": {name: described(getattr(module, name))
                  for module in (observer, fake_quantize) for name in module.__all__
                  if (name.startswith("default_") or "range_neg" in name)
                  and not name.startswith(("default_affine_fixed", "default_symmetric_fixed"))},  # old names of others
    "qconfigs": {name: described_qconfig(getattr(qconfig, name))
                 for name in qconfig.__all__ if name.startswith(("default_", "float", "per_channel"))},
    "static": {name: described_qconfig(get_default_qconfig(name)) for name in backends},
    "qat 0": {name: described_qconfig(get_default_qat_qconfig(name, version=0)) for name in backends},
    "qat 1": {name: described_qconfig(get_default_qat_qconfig(name)) for name in backends},
    "static mapping": {name: described_mapping(get_default_qconfig_mapping(name)) for name in backends},
    "qat mapping": {name: described_mapping(get_default_qat_qconfig_mapping(name)) for name in backends},
})
