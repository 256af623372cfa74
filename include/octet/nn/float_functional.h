#pragma once

#include <octet/nn/slot.h>

#include <torch/nn/cloneable.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace octet::nn {

/// The operations of FloatFunctional and QFunctional.
enum class FunctionalOp : uint8_t { add, add_scalar, add_relu, mul, mul_scalar, cat, matmul };

namespace detail {

/// The float module of FloatFunctional: all its operations through one forward.
class FloatFunctionalImpl : public torch::nn::Cloneable<FloatFunctionalImpl> {
 public:
  void reset() override {}
  void pretty_print(std::ostream& stream) const override;

  /// @param argument  the scalar of add_scalar and mul_scalar, the dimension of cat
  at::Tensor forward(const std::vector<at::Tensor>& inputs, FunctionalOp op, double argument);

  /// The results of operations with a scalar are quantized with qparams that follow from those of the tensor.
  static bool is_observed(const std::vector<at::Tensor>& inputs, FunctionalOp op, double argument);
};

}  // namespace detail

/// Arithmetic between tensors as a module, so that its result can be observed and quantized:
/// torch.ao.nn.quantized.FloatFunctional, in a converted model QFunctional. An instance stands for one operation: it has one
/// scale and zero point, so each operation of a model wants an instance of its own.
/// @throws Error where a prepared model uses one instance twice in a forward pass (passes are told apart by the QuantStubs of
///         the model; without any there is no telling)
class FloatFunctionalImpl : public Slot<detail::FloatFunctionalImpl> {
 public:
  using Slot<detail::FloatFunctionalImpl>::Slot;

  at::Tensor add(const at::Tensor& x, const at::Tensor& y);
  at::Tensor add_scalar(const at::Tensor& x, double y);
  at::Tensor add_relu(const at::Tensor& x, const at::Tensor& y);
  at::Tensor mul(const at::Tensor& x, const at::Tensor& y);
  at::Tensor mul_scalar(const at::Tensor& x, double y);
  at::Tensor cat(const std::vector<at::Tensor>& tensors, int64_t dim = 0);
  at::Tensor matmul(const at::Tensor& x, const at::Tensor& y);

  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override;

 private:
  at::Tensor call(const std::vector<at::Tensor>& inputs, FunctionalOp op, double argument = 0);
};
TORCH_MODULE(FloatFunctional);

}  // namespace octet::nn
