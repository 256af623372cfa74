#pragma once

#include <octet/observe/qconfig_mapping.h>
#include <octet/workflow/clone_model.h>
#include <octet/workflow/report.h>

#include <torch/nn/module.h>

#include <utility>

namespace octet {

/// Lets single modules of a float model compute with integers: each module that gets a qconfig, and that has a quantized form,
/// stands between a QuantStub and a DeQuantStub of its own then. It takes and returns float tensors, also after convert().
/// torch.ao.quantization.add_quant_dequant, which wraps such modules in QuantWrappers; here the stubs are children of the
/// module's slot, `quant` and `dequant`, that hooks of the slot run. Call it after fuse_modules() and before prepare(), for which
/// the qconfigs are set on the slots and their stubs; a float model that is to load the file of such a one needs the same call.
///
/// For modules that take one tensor and return one. Others (LSTM, FloatFunctional) are kept, and so are Embedding and Dropout,
/// for which there is nothing to quantize in the input.
/// @return a row for each module that computes something: wrapped, kept and why, or not swappable and why
/// @throws Error for a rule that names a path which the model does not have. The model is then as it was.
Report add_quant_dequant(torch::nn::Module& model, const QConfigMapping& qconfig_mapping);

/// The same for a shared_ptr to a model or a module holder.
/// @param inplace  false: the model stays as it is and a clone with the stubs is returned
template <ModelPointer Model>
Model add_quant_dequant(const Model& model, const QConfigMapping& qconfig_mapping, bool inplace = false,
                        Report* report = nullptr) {
  return detail::on_model_or_clone(model, inplace, report,
                                   [&](Model& result) { return add_quant_dequant(*result, qconfig_mapping); });
}

}  // namespace octet
