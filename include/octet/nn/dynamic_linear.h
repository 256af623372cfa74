#pragma once

#include <octet/nn/intrinsic.h>
#include <octet/nn/linear_packed_params.h>
#include <octet/nn/modules.h>

#include <memory>
#include <string>

namespace octet::nn {
namespace quantized::dynamic {

/// Linear with qint8, float16 or (in groups) 4-bit weights and float activations, which are quantized anew with each call:
/// torch.ao.nn.quantized.dynamic.Linear. The result never requires grad.
class LinearImpl : public nn::LinearImpl::Implementation {
 public:
  /// @param qconfig  its weight observer chooses qint8, float16 or 4 bits in groups (int4_weight_only_qconfig()), its activation
  ///                 observer the range and whether per row
  /// @param path     of the module, for error messages
  /// @throws Error as LinearPackedParams::from_float
  static std::shared_ptr<LinearImpl> from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig,
                                                const std::string& path);

  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<LinearImpl> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  /// @param input  [..., in_features], float32, on the CPU, finite
  /// @return [..., out_features], float32
  at::Tensor forward(const at::Tensor& input) override;

  std::string kind() const override { return "octet::nn::quantized::dynamic::Linear"; }
  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override { return params_.weight_bytes(); }
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override;
  void pretty_print(std::ostream& stream) const override;

  /// LinearPackedParams::weight.
  at::Tensor weight() const { return params_.weight(); }
  /// float32, or undefined.
  const at::Tensor& bias() const { return params_.bias(); }
  int64_t in_features() const { return params_.in_features(); }
  int64_t out_features() const { return params_.out_features(); }

 protected:
  LinearImpl(LinearPackedParams params, LinearPackedParams::ActivationQParams activation)
      : params_(std::move(params)), activation_(activation) {}
  at::Tensor apply(const at::Tensor& input, bool relu) const;

  LinearPackedParams params_;
  LinearPackedParams::ActivationQParams activation_;
};
TORCH_MODULE(Linear);

}  // namespace quantized::dynamic

namespace intrinsic::quantized::dynamic {

/// Linear and ReLU in one: torch.ao.nn.intrinsic.quantized.dynamic.LinearReLU. It takes the place of a fused
/// nn::intrinsic::LinearReLU.
class LinearReLUImpl : public nn::quantized::dynamic::LinearImpl {
 public:
  static std::shared_ptr<LinearReLUImpl> from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig,
                                                    const std::string& path);
  static std::shared_ptr<LinearReLUImpl> from_state(const StateDict& state, const Attributes& attributes,
                                                    const std::string& path);

  at::Tensor forward(const at::Tensor& input) override { return apply(input, /*relu=*/true); }
  std::string kind() const override { return "octet::nn::intrinsic::quantized::dynamic::LinearReLU"; }
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override;

 private:
  explicit LinearReLUImpl(const nn::quantized::dynamic::LinearImpl& linear) : nn::quantized::dynamic::LinearImpl(linear) {}
};
TORCH_MODULE(LinearReLU);

}  // namespace intrinsic::quantized::dynamic
}  // namespace octet::nn
