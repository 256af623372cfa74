#pragma once

#include <octet/observe/qconfig_mapping.h>
#include <octet/workflow/clone_model.h>
#include <octet/workflow/mappings.h>
#include <octet/workflow/prepare.h>
#include <octet/workflow/report.h>

#include <torch/nn/module.h>
#include <torch/utils.h>

#include <concepts>
#include <utility>

namespace octet {

/// Post-training static quantization, last step: swaps every module that prepare() gave a qconfig for its quantized form, with
/// the scales that its observers found, and takes the observers away. torch.ao.quantization.convert.
/// Everything is built before anything is swapped, so an error leaves the model as it was.
/// @param mapping  which class takes the place of which
/// @return a row for each module: quantized, kept and why, or not swappable and why
/// @throws Error for a model that is not prepared or in training mode, for an observer that has seen no data, for weights that
///         cannot be quantized, each with the module's path
Report convert(torch::nn::Module& model, const ModuleMappings& mapping = default_static_quant_module_mappings());

/// The same for a shared_ptr to a model or a module holder.
/// @param inplace  false: the model stays as it is and a converted clone is returned
template <ModelPointer Model>
Model convert(const Model& model, const ModuleMappings& mapping = default_static_quant_module_mappings(), bool inplace = false,
              Report* report = nullptr) {
  return detail::on_model_or_clone(model, inplace, report, [&](Model& result) { return convert(*result, mapping); });
}

/// All of post-training static quantization: prepare(), `run_fn(model)` to calibrate, convert(). torch.ao.quantization.quantize.
/// On a clone: the model stays as it is. @throws Error as those do, and whatever run_fn throws
template <ModelPointer Model, std::invocable<Model&> Run>
Model quantize(const Model& model, const Run& run_fn, const QConfigMapping& qconfig_mapping,
               const ModuleMappings& mapping = default_static_quant_module_mappings(), Report* report = nullptr) {
  Model prepared = prepare(model, qconfig_mapping);
  const torch::NoGradGuard no_grad;
  run_fn(prepared);
  return convert(prepared, mapping, /*inplace=*/true, report);
}

}  // namespace octet
