#pragma once

#include <octet/observe/qconfig_mapping.h>
#include <octet/workflow/clone_model.h>
#include <octet/workflow/mappings.h>
#include <octet/workflow/report.h>

#include <torch/arg.h>
#include <torch/nn/module.h>

#include <optional>
#include <utility>
#include <vector>

namespace octet {

/// What prepare() can be told beside the qconfigs.
class PrepareOptions {
 public:
  /// The classes of which modules are observed. Not given: every class that default_static_quant_module_mappings() has.
  TORCH_ARG(std::optional<std::vector<ModuleType>>, allow_list);

  /// The observed form of modules that need more than an observer of their output (torch.ao's
  /// float_to_observed_custom_module_class). Such a class must be a FloatImplementation; convert() then looks up its own class.
  TORCH_ARG(ModuleMappings, float_to_observed_custom_module_class) = default_float_to_observed_custom_module_mappings();
};

/// Post-training static quantization, third step: gives every module its qconfig and puts the activation observer of that
/// qconfig behind it, as its child `activation_post_process`. torch.ao.quantization.prepare. Run the model on calibration data
/// then, and convert() it.
///
/// Observed are slots, and modules of torch::nn where they sit in a Sequential (a slot takes their place), of the classes that
/// have a quantized form. Sigmoid, Softmax and Hardsigmoid get the fixed qparams 0 .. 1, Tanh -1 .. 1. A qconfig that was set on
/// a slot itself wins over the mapping.
/// @param qconfig_mapping  rules, or one QConfig for all: prepare(*model, octet::get_default_qconfig("x86"))
/// @return a row for each module: observed, kept and why, or not swappable and why
/// @throws Error for a model in training mode or already prepared or converted, for a rule that names a path which the model
///         does not have, where no module gets a qconfig. The model is then as it was.
Report prepare(torch::nn::Module& model, const QConfigMapping& qconfig_mapping, const PrepareOptions& options = {});

/// The same for a shared_ptr to a model or a module holder.
/// @param inplace  false: the model stays as it is and a prepared clone is returned
template <ModelPointer Model>
Model prepare(const Model& model, const QConfigMapping& qconfig_mapping, const PrepareOptions& options = {}, bool inplace = false,
              Report* report = nullptr) {
  return detail::on_model_or_clone(model, inplace, report,
                                   [&](Model& result) { return prepare(*result, qconfig_mapping, options); });
}

}  // namespace octet
