#pragma once

#include <octet/nn/slot.h>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/any.h>

#include <memory>
#include <optional>
#include <utility>

namespace octet::nn {

namespace detail {

/// The float modules of the stubs: they return what they get.
class QuantStubImpl : public torch::nn::Cloneable<QuantStubImpl> {
 public:
  void reset() override {}
  at::Tensor forward(const at::Tensor& input) { return input; }
  void pretty_print(std::ostream& stream) const override;
};
class DeQuantStubImpl : public torch::nn::Cloneable<DeQuantStubImpl> {
 public:
  void reset() override {}
  at::Tensor forward(const at::Tensor& input) { return input; }
  void pretty_print(std::ostream& stream) const override;
};

}  // namespace detail

/// Where activations become quantized: an observer in a prepared model, nn::quantized::Quantize in a converted one; before that
/// it returns what it gets. torch.ao.quantization.QuantStub. Each input of a model wants one of its own.
class QuantStubImpl : public Slot<detail::QuantStubImpl> {
 public:
  using Slot<detail::QuantStubImpl>::Slot;

  at::Tensor forward(const at::Tensor& input);
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override;
};
TORCH_MODULE(QuantStub);

/// Where they become float again: nn::quantized::DeQuantize in a converted model, else the identity.
/// torch.ao.quantization.DeQuantStub.
using DeQuantStubImpl = Slot<detail::DeQuantStubImpl>;
TORCH_MODULE(DeQuantStub);

/// A module of one tensor between a QuantStub and a DeQuantStub: torch.ao.quantization.QuantWrapper. Its children are `quant`,
/// `dequant` and `module`.
class QuantWrapperImpl : public torch::nn::Cloneable<QuantWrapperImpl> {
 public:
  /// @param module  a module holder or a shared_ptr to a module whose forward takes and returns one at::Tensor
  template <class Module>
  explicit QuantWrapperImpl(Module module) : QuantWrapperImpl(torch::nn::AnyModule(std::move(module))) {}
  explicit QuantWrapperImpl(torch::nn::AnyModule module);

  void reset() override;
  at::Tensor forward(const at::Tensor& input);

  QuantStub quant;
  DeQuantStub dequant;
  torch::nn::AnyModule module;
};
TORCH_MODULE(QuantWrapper);

}  // namespace octet::nn
