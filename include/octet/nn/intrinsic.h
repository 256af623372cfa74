#pragma once

#include <octet/nn/modules.h>
#include <octet/observe/qconfig_mapping.h>

#include <ATen/ops/relu.h>

#include <memory>
#include <string>

/// Fused modules: what fuse_modules() puts into the slot of the first of them. torch.ao.nn.intrinsic.
namespace octet::nn::intrinsic {

/// A module followed by ReLU. The parameters stay those of the slot, under their names.
template <class Self, class FloatModule>
class WithReLU : public FloatImplementation<at::Tensor(const at::Tensor&)> {
 public:
  /// The class of the slots that it fits.
  using Wrapped = FloatModule;

  static std::shared_ptr<Self> from_state(const StateDict&, const Attributes&, const std::string&) {
    return std::make_shared<Self>();
  }

  at::Tensor forward(torch::nn::Module& float_module, const at::Tensor& input) override {
    return at::relu(dynamic_cast<FloatModule&>(float_module).forward(input));
  }
  std::string kind() const override { return "octet::nn::intrinsic::" + ModuleType::of<Self>().name(); }
  StateDict state_dict() const override { return StateDict(); }
  Attributes attributes() const override { return {}; }
  int64_t weight_bytes() const override { return 0; }
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& = std::nullopt) const override {
    return std::make_shared<Self>(static_cast<const Self&>(*this));
  }
  void pretty_print(std::ostream& stream) const override { stream << kind() << "()"; }
};

struct LinearReLUImpl : WithReLU<LinearReLUImpl, torch::nn::LinearImpl> {};
struct ConvReLU1dImpl : WithReLU<ConvReLU1dImpl, torch::nn::Conv1dImpl> {};
struct ConvReLU2dImpl : WithReLU<ConvReLU2dImpl, torch::nn::Conv2dImpl> {};
struct ConvReLU3dImpl : WithReLU<ConvReLU3dImpl, torch::nn::Conv3dImpl> {};
struct BNReLU2dImpl : WithReLU<BNReLU2dImpl, torch::nn::BatchNorm2dImpl> {};
struct BNReLU3dImpl : WithReLU<BNReLU3dImpl, torch::nn::BatchNorm3dImpl> {};

/// What is left of a module that was fused into the one before it.
class IdentityImpl : public Implementation<at::Tensor(const at::Tensor&)> {
 public:
  static std::shared_ptr<IdentityImpl> from_state(const StateDict&, const Attributes&, const std::string&) {
    return std::make_shared<IdentityImpl>();
  }

  at::Tensor forward(const at::Tensor& input) override { return input; }
  std::string kind() const override { return "octet::nn::intrinsic::Identity"; }
  StateDict state_dict() const override { return StateDict(); }
  Attributes attributes() const override { return {}; }
  int64_t weight_bytes() const override { return 0; }
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& = std::nullopt) const override {
    return std::make_shared<IdentityImpl>(*this);
  }
  void pretty_print(std::ostream& stream) const override { stream << kind() << "()"; }
};

}  // namespace octet::nn::intrinsic
