#pragma once

#include <octet/nn/batch_norm_folding.h>
#include <octet/nn/replace_parameters.h>
#include <octet/nn/weight_observer.h>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>

namespace octet::nn {

/// The children that quantization-aware training hangs on a slot, under torch.ao's names.
inline constexpr const char* kWeightFakeQuant = "weight_fake_quant";
inline constexpr const char* kBatchNorm = "bn";

/// A child of a slot by its name, or null.
std::shared_ptr<torch::nn::Module> slot_child(const torch::nn::Module& slot, const char* name);

/// What a conversion quantizes.
struct TrainedParameters {
  at::Tensor weight, bias;
  WeightObserver observer;
};

/// The parameters of a module with the batch norm folded into them that its slot has as a child; and the weight fake quantization
/// that the slot was trained with, or else the observers of the qconfig. Without gradient.
template <class Float>
TrainedParameters trained_parameters(const Float& module, const QConfig& qconfig) {
  const torch::NoGradGuard no_grad;
  TrainedParameters trained{module.weight, {}, qconfig};
  if constexpr (detail::has_bias<Float>) trained.bias = module.bias;
  if (const auto norm = slot_child(module, kBatchNorm)) {
    const auto parameters = BatchNormParameters::of(*norm);
    const at::Tensor scale = parameters.scale();
    trained.weight = WeightLayout::of(module).scaled(trained.weight, scale);
    trained.bias = parameters.folded_bias(trained.bias, scale);
  }
  if (auto fake_quant = std::dynamic_pointer_cast<const ObserverBase>(slot_child(module, kWeightFakeQuant))) {
    trained.observer = WeightObserver(std::move(fake_quant));
  }
  return trained;
}

}  // namespace octet::nn
