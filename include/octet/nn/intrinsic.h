#pragma once

#include <octet/nn/modules.h>

/// Modules that do the work of several: what fusing makes.
namespace octet::nn::intrinsic {
namespace detail {

/// The float module of LinearReLU: a Linear, then a ReLU, under torch.ao's keys `0.weight` and `0.bias`.
class LinearReLUImpl : public torch::nn::Cloneable<LinearReLUImpl> {
 public:
  /// @param linear  shared, not copied
  explicit LinearReLUImpl(torch::nn::Linear linear);
  LinearReLUImpl(int64_t in_features, int64_t out_features) : LinearReLUImpl(torch::nn::Linear(in_features, out_features)) {}

  void reset() override;
  void pretty_print(std::ostream& stream) const override;
  at::Tensor forward(const at::Tensor& input);

  const torch::nn::LinearImpl& linear() const;

 protected:
  /// Gives the float modules free once something else computes.
  void release_modules();

 private:
  torch::nn::Linear linear_{nullptr};
  torch::nn::ReLU relu_{nullptr};
};

}  // namespace detail

using LinearReLUImpl = Slot<detail::LinearReLUImpl>;
TORCH_MODULE(LinearReLU);

}  // namespace octet::nn::intrinsic
