#include <octet/nn/batch_norm_folding.h>
#include <octet/tensor/error.h>

#include <ATen/ops/rsqrt.h>
#include <torch/nn/modules/batchnorm.h>

#include <vector>

namespace octet::nn {
namespace {

/// [groups, first / groups, second, rest...] with both parts of a group exchanged, as [groups * second, first / groups, rest...].
at::Tensor exchanged(const at::Tensor& weight, int64_t groups) {
  std::vector<int64_t> grouped = weight.sizes().vec(), flat = grouped;
  grouped[0] /= groups;
  flat[0] = groups * grouped[1];
  flat[1] = grouped[0];
  grouped.insert(grouped.begin(), groups);
  return weight.reshape(grouped).transpose(1, 2).reshape(flat);
}

template <class Norm>
bool take(const torch::nn::Module& module, BatchNormParameters& parameters) {
  const auto* const norm = dynamic_cast<const Norm*>(&module);
  if (norm) parameters = {norm->weight, norm->bias, norm->running_mean, norm->running_var, norm->options.eps()};
  return norm != nullptr;
}

}  // namespace

at::Tensor WeightLayout::outputs_first(const at::Tensor& weight) const {
  return transposed_groups > 0 ? exchanged(weight, transposed_groups) : weight;
}

at::Tensor WeightLayout::inputs_first(const at::Tensor& weight) const { return outputs_first(weight); }

at::Tensor WeightLayout::scaled(const at::Tensor& weight, const at::Tensor& factor) const {
  std::vector<int64_t> along(weight.dim(), 1);
  along[0] = -1;
  return inputs_first(outputs_first(weight) * factor.reshape(along));
}

BatchNormParameters BatchNormParameters::of(const torch::nn::Module& norm) {
  BatchNormParameters parameters;
  const bool is_known = take<torch::nn::BatchNorm1dImpl>(norm, parameters) ||
                        take<torch::nn::BatchNorm2dImpl>(norm, parameters) || take<torch::nn::BatchNorm3dImpl>(norm, parameters);
  check(is_known, "got a ", norm.name(), ", expected a BatchNorm1d, BatchNorm2d or BatchNorm3d");
  return parameters;
}

at::Tensor BatchNormParameters::inverse_deviation() const { return at::rsqrt(running_var + eps); }

at::Tensor BatchNormParameters::scale() const { return weight.defined() ? weight * inverse_deviation() : inverse_deviation(); }

at::Tensor BatchNormParameters::folded_bias(const at::Tensor& map_bias, const at::Tensor& scale) const {
  const at::Tensor centered = (map_bias.defined() ? map_bias - running_mean : -running_mean) * scale;
  return bias.defined() ? centered + bias : centered;
}

}  // namespace octet::nn
