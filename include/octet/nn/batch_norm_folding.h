#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <concepts>
#include <cstdint>

namespace octet::nn {

/// Where a weight has its output channels.
struct WeightLayout {
  /// Of a transposed convolution, whose weight is [in, out / groups, kernel...]; 0 for all others: [out, ...].
  int64_t transposed_groups = 0;

  /// Of a linear map, a convolution or a transposed one.
  template <class Float>
  static WeightLayout of(const Float& module) {
    if constexpr (requires {
                    { module.options.transposed() } -> std::convertible_to<bool>;
                  }) {
      if (module.options.transposed()) return {module.options.groups()};
    }
    return {};
  }

  /// The weight as [out, ...], and back. Differentiable; the same tensor unless transposed.
  at::Tensor outputs_first(const at::Tensor& weight) const;
  at::Tensor inputs_first(const at::Tensor& weight) const;

  /// The weight with each output channel multiplied by its factor. @param factor  [out]
  at::Tensor scaled(const at::Tensor& weight, const at::Tensor& factor) const;
};

/// What a batch norm computes with in eval mode: y = x * scale() + shift(). For one to three dimensions alike.
struct BatchNormParameters {
  at::Tensor weight, bias;               // [channels]; undefined unless the norm is affine
  at::Tensor running_mean, running_var;  // [channels]
  double eps = 0;

  /// @throws Error unless the module is a BatchNorm1d, 2d or 3d of torch::nn
  static BatchNormParameters of(const torch::nn::Module& norm);

  at::Tensor inverse_deviation() const;  ///< 1 / sqrt(running_var + eps)
  at::Tensor scale() const;              ///< weight / sqrt(running_var + eps)

  /// The bias of a linear map with which it does what it and the norm did, given scale().
  /// @param bias  of the map, or undefined
  at::Tensor folded_bias(const at::Tensor& bias, const at::Tensor& scale) const;
};

}  // namespace octet::nn
