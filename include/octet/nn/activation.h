#pragma once

#include <torch/nn/cloneable.h>

namespace octet::nn::detail {

/// The float modules that torch.nn has and torch::nn lacks.
class HardswishImpl : public torch::nn::Cloneable<HardswishImpl> {
 public:
  void reset() override {}
  void pretty_print(std::ostream& stream) const override;
  at::Tensor forward(const at::Tensor& input);
};

class HardsigmoidImpl : public torch::nn::Cloneable<HardsigmoidImpl> {
 public:
  void reset() override {}
  void pretty_print(std::ostream& stream) const override;
  at::Tensor forward(const at::Tensor& input);
};

}  // namespace octet::nn::detail
