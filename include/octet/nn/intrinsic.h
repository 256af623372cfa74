#pragma once

#include <octet/nn/implementation_of.h>
#include <octet/nn/modules.h>

#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tanh.h>

#include <memory>
#include <string>

/// Fused modules: what fuse_modules() puts into the slot of the first of them. torch.ao.nn.intrinsic.
namespace octet::nn::intrinsic {

/// A module followed by an activation. The parameters stay those of the slot, under their names.
template <class Self, class FloatModule>
class WithActivation : public ImplementationOf<Self, FloatImplementation<at::Tensor(const at::Tensor&)>> {
 public:
  /// The class of the slots that it fits.
  using Wrapped = FloatModule;

  static std::shared_ptr<Self> from_state(const StateDict&, const Attributes&, const std::string&) {
    return std::make_shared<Self>();
  }

  at::Tensor forward(torch::nn::Module& float_module, const at::Tensor& input) override {
    return activation(dynamic_cast<FloatModule&>(float_module).forward(input));
  }
  StateDict state_dict() const override { return StateDict(); }
  Attributes attributes() const override { return {}; }
  int64_t weight_bytes() const override { return 0; }
  void pretty_print(std::ostream& stream) const override { stream << Self::kKind << "()"; }

 protected:
  virtual at::Tensor activation(const at::Tensor& input) const = 0;
};

template <class Self, class FloatModule>
class WithReLU : public WithActivation<Self, FloatModule> {
 protected:
  at::Tensor activation(const at::Tensor& input) const override { return at::relu(input); }
};

struct LinearReLUImpl : WithReLU<LinearReLUImpl, torch::nn::LinearImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::LinearReLU";
};
struct ConvReLU1dImpl : WithReLU<ConvReLU1dImpl, torch::nn::Conv1dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvReLU1d";
};
struct ConvReLU2dImpl : WithReLU<ConvReLU2dImpl, torch::nn::Conv2dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvReLU2d";
};
struct ConvReLU3dImpl : WithReLU<ConvReLU3dImpl, torch::nn::Conv3dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvReLU3d";
};
struct BNReLU2dImpl : WithReLU<BNReLU2dImpl, torch::nn::BatchNorm2dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::BNReLU2d";
};
struct BNReLU3dImpl : WithReLU<BNReLU3dImpl, torch::nn::BatchNorm3dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::BNReLU3d";
};

class LinearTanhImpl : public WithActivation<LinearTanhImpl, torch::nn::LinearImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::LinearTanh";

 protected:
  at::Tensor activation(const at::Tensor& input) const override { return at::tanh(input); }
};

class LinearLeakyReLUImpl : public WithActivation<LinearLeakyReLUImpl, torch::nn::LinearImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::LinearLeakyReLU";

  explicit LinearLeakyReLUImpl(double negative_slope) : negative_slope_(negative_slope) {}

  /// @throws Error if the attribute "negative_slope" is missing or no number
  static std::shared_ptr<LinearLeakyReLUImpl> from_state(const StateDict& state, const Attributes& attributes,
                                                         const std::string& path);

  double negative_slope() const { return negative_slope_; }
  Attributes attributes() const override { return {{"negative_slope", negative_slope_}}; }
  void pretty_print(std::ostream& stream) const override;

 protected:
  at::Tensor activation(const at::Tensor& input) const override { return at::leaky_relu(input, negative_slope_); }

 private:
  double negative_slope_;
};

/// What is left of a module that was fused into the one before it.
class IdentityImpl : public ImplementationOf<IdentityImpl, Implementation<at::Tensor(const at::Tensor&)>> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::Identity";

  static std::shared_ptr<IdentityImpl> from_state(const StateDict&, const Attributes&, const std::string&) {
    return std::make_shared<IdentityImpl>();
  }

  at::Tensor forward(const at::Tensor& input) override { return input; }
  StateDict state_dict() const override { return StateDict(); }
  Attributes attributes() const override { return {}; }
  int64_t weight_bytes() const override { return 0; }
  void pretty_print(std::ostream& stream) const override { stream << kKind << "()"; }
};

}  // namespace octet::nn::intrinsic
