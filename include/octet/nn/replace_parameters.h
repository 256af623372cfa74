#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <string>

namespace octet::nn::detail {

/// Puts `value` in the place of the parameter `name`, in the member and in the register; undefined leaves all as it is. It is a
/// new tensor, so that modules that share the old one are left alone, and requires grad as the module's weight does.
void replace_parameter(torch::nn::Module& module, const std::string& name, at::Tensor& member, const at::Tensor& value);

template <class Module>
constexpr bool has_weight = requires(Module& module, const at::Tensor& value) { module.weight = value; };
template <class Module>
constexpr bool has_bias = requires(Module& module, const at::Tensor& value) { module.bias = value; };

/// Gives a module new parameters `weight` and `bias`, as far as it has such members. A bias may take the place of none.
template <class Module>
void replace_parameters(Module& module, const at::Tensor& weight, const at::Tensor& bias) {
  if constexpr (has_weight<Module>) replace_parameter(module, "weight", module.weight, weight);
  if constexpr (has_bias<Module>) replace_parameter(module, "bias", module.bias, bias);
  if constexpr (has_bias<Module> && requires { module.options.bias(true); }) {
    module.options.bias(module.bias.defined());  // what clone() rebuilds
  }
}

}  // namespace octet::nn::detail
