#pragma once

#include <octet/nn/implementation_of.h>
#include <octet/nn/intrinsic.h>
#include <octet/nn/linear_packed_params.h>
#include <octet/nn/modules.h>
#include <octet/nn/output_qparams.h>
#include <octet/nn/trained_parameters.h>

#include <memory>
#include <string>
#include <utility>

namespace octet::nn {
namespace quantized {

/// What the statically quantized Linear and its fused forms have in common.
class StaticLinear : public nn::LinearImpl::Implementation {
 public:
  StaticLinear(LinearPackedParams params, const OutputQParams& output) : params_(std::move(params)), output_(output) {}

  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override { return params_.weight_bytes(); }
  void pretty_print(std::ostream& stream) const override;

  /// The weight: a quantized tensor (qint8), unpacked anew with each call.
  at::Tensor weight() const { return params_.weight(); }
  /// float32, or undefined.
  const at::Tensor& bias() const { return params_.bias(); }
  const OutputQParams& output() const { return output_; }
  int64_t in_features() const { return params_.in_features(); }
  int64_t out_features() const { return params_.out_features(); }

 protected:
  /// @throws Error unless the weight's observer is one of qint8
  static LinearPackedParams params_from_float(const at::Tensor& weight, const at::Tensor& bias, const WeightObserver& observer,
                                              const std::string& path);
  static LinearPackedParams params_from_state(const StateDict& state, const std::string& path);

  LinearPackedParams params_;
  OutputQParams output_;
};

/// Linear, and relu where `with_relu`, with int8 weights, quantized input and requantized output. As a module of its own:
/// @param input  quint8 or qint8 per tensor, [..., in_features]
/// @return [..., out_features], quantized
template <class Self, bool with_relu>
class StaticLinearOf : public ImplementationOf<Self, StaticLinear> {
 public:
  using ImplementationOf<Self, StaticLinear>::ImplementationOf;

  /// @param module  in a slot whose observer was calibrated
  /// @throws Error as LinearPackedParams::from_float and OutputQParams::from
  static std::shared_ptr<Self> from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig, const std::string& path) {
    const TrainedParameters trained = trained_parameters(module, qconfig);
    return from_weight(trained.weight, trained.bias, trained.observer, OutputQParams::from(module, path), path);
  }
  /// The same of a weight [out_features, in_features] and a bias (or an undefined tensor) that are no module's own.
  static std::shared_ptr<Self> from_weight(const at::Tensor& weight, const at::Tensor& bias, const WeightObserver& observer,
                                           const OutputQParams& output, const std::string& path) {
    return std::make_shared<Self>(StaticLinear::params_from_float(weight, bias, observer, path), output);
  }
  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<Self> from_state(const StateDict& state, const Attributes& attributes, const std::string& path) {
    return std::make_shared<Self>(StaticLinear::params_from_state(state, path), OutputQParams::from(state, attributes, path));
  }

  at::Tensor forward(const at::Tensor& input) override { return this->params_.apply(input, this->output_, with_relu); }
};

/// torch.ao.nn.quantized.Linear.
class LinearImpl : public StaticLinearOf<LinearImpl, false> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Linear";
  using StaticLinearOf::StaticLinearOf;
};
TORCH_MODULE(Linear);

}  // namespace quantized

namespace intrinsic::quantized {

/// torch.ao.nn.intrinsic.quantized.LinearReLU.
class LinearReLUImpl : public nn::quantized::StaticLinearOf<LinearReLUImpl, true> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::quantized::LinearReLU";
  using StaticLinearOf::StaticLinearOf;
};
TORCH_MODULE(LinearReLU);

/// Linear and LeakyReLU, requantized once, behind both: torch.ao.nn.intrinsic.quantized.LinearLeakyReLU.
class LinearLeakyReLUImpl : public ImplementationOf<LinearLeakyReLUImpl, nn::quantized::StaticLinear> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::quantized::LinearLeakyReLU";

  LinearLeakyReLUImpl(nn::quantized::LinearPackedParams params, const OutputQParams& output, double negative_slope)
      : ImplementationOf(std::move(params), output), negative_slope_(negative_slope) {}

  /// @param module  of a slot that nn::intrinsic::LinearLeakyReLU computes in, which has the slope
  static std::shared_ptr<LinearLeakyReLUImpl> from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig,
                                                         const std::string& path);
  static std::shared_ptr<LinearLeakyReLUImpl> from_state(const StateDict& state, const Attributes& attributes,
                                                         const std::string& path);

  at::Tensor forward(const at::Tensor& input) override;
  Attributes attributes() const override;
  double negative_slope() const { return negative_slope_; }

 private:
  double negative_slope_;
};
TORCH_MODULE(LinearLeakyReLU);

/// Linear and Tanh, requantized once, behind both: torch.ao.nn.intrinsic.quantized.LinearTanh.
class LinearTanhImpl : public ImplementationOf<LinearTanhImpl, nn::quantized::StaticLinear> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::quantized::LinearTanh";
  using ImplementationOf::ImplementationOf;

  static std::shared_ptr<LinearTanhImpl> from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig,
                                                    const std::string& path);
  static std::shared_ptr<LinearTanhImpl> from_state(const StateDict& state, const Attributes& attributes,
                                                    const std::string& path);

  at::Tensor forward(const at::Tensor& input) override;
};
TORCH_MODULE(LinearTanh);

}  // namespace intrinsic::quantized
}  // namespace octet::nn
