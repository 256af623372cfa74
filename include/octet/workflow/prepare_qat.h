#pragma once

#include <octet/observe/qconfig_mapping.h>
#include <octet/workflow/clone_model.h>
#include <octet/workflow/convert.h>
#include <octet/workflow/mappings.h>
#include <octet/workflow/prepare.h>
#include <octet/workflow/report.h>

#include <torch/nn/module.h>

#include <concepts>
#include <cstdint>
#include <utility>

namespace octet {

/// Quantization-aware training, third step, after fuse_modules_qat(): modules with weights get their training form, which
/// fake-quantizes the weight (the slot's child `weight_fake_quant`), and behind every module that prepare() would observe comes
/// the activation fake quantization of its qconfig, as its child `activation_post_process`. torch.ao.quantization.prepare_qat.
/// Parameters stay the tensors that they were, so an optimizer made before goes on working. Train then, and convert() in eval
/// mode.
///
/// A model that was prepared by prepare() and calibrated may be given too, in training mode: where an observer has seen data, the
/// fake quantization starts from its range.
/// @param qconfig_mapping  rules, or one QConfig for all: prepare_qat(*model, octet::get_default_qat_qconfig("x86"))
/// @param mapping          the training forms; dynamic_qat_module_mappings() for dynamic quantization
/// @param options          as for prepare()
/// @return a row for each module: observed, kept and why, or not swappable and why
/// @throws Error for a model in eval mode, already prepared for training or converted, for a qconfig that fake-quantizes no
/// weight,
///         for a rule that names a path which the model does not have, where no module gets a qconfig. The model is then as it
///         was.
Report prepare_qat(torch::nn::Module& model, const QConfigMapping& qconfig_mapping,
                   const ModuleMappings& mapping = default_qat_module_mappings(), const PrepareOptions& options = {});

/// The same for a shared_ptr to a model or a module holder.
/// @param inplace  false: the model stays as it is and a prepared clone is returned
template <ModelPointer Model>
Model prepare_qat(const Model& model, const QConfigMapping& qconfig_mapping,
                  const ModuleMappings& mapping = default_qat_module_mappings(), bool inplace = false, Report* report = nullptr) {
  return detail::on_model_or_clone(model, inplace, report,
                                   [&](Model& result) { return prepare_qat(*result, qconfig_mapping, mapping); });
}

/// All of quantization-aware training: prepare_qat(), `train_fn(model)`, eval(), convert(). torch.ao.quantization.quantize_qat.
/// On a clone, in training mode: the model stays as it is. @throws Error as those do, and whatever train_fn throws
template <ModelPointer Model, std::invocable<Model&> Train>
Model quantize_qat(const Model& model, const Train& train_fn, const QConfigMapping& qconfig_mapping,
                   const ModuleMappings& mapping = default_static_quant_module_mappings(), Report* report = nullptr) {
  Model trained = clone_model(model);
  trained->train();
  prepare_qat(*trained, qconfig_mapping);
  train_fn(trained);
  trained->eval();
  return convert(trained, mapping, /*inplace=*/true, report);
}

/// When in its training a model stops changing what is no weight, as torchvision's training references do: first the running
/// statistics of its batch norms are frozen, then its observers stop, so that the last epochs train for the scales that stay.
struct QATSchedule {
  int64_t num_batch_norm_update_epochs = 3;
  int64_t num_observer_update_epochs = 4;

  /// Sets the model's switches for an epoch: call it before each. Epochs count from 0; any order and repetition is fine, such as
  /// after resuming.
  void begin_epoch(torch::nn::Module& model, int64_t epoch) const;
};

}  // namespace octet
