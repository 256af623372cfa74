#pragma once

#include <octet/nn/conv_add.h>
#include <octet/nn/conv_packed_params.h>
#include <octet/nn/implementation_of.h>
#include <octet/nn/modules.h>
#include <octet/nn/output_qparams.h>
#include <octet/nn/trained_parameters.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>

#include <memory>
#include <ostream>
#include <string>
#include <utility>

namespace octet::nn {
namespace quantized {

/// What all statically quantized convolutions have in common: int8 weights, quantized input, requantized output, channels last
/// inside. `Float` is the torch class whose place `Self` takes, in one to three dimensions.
template <class Self, class Float>
class StaticConvolution : public ImplementationOf<Self, Implementation<nn::detail::ForwardSignatureOf<Float>>>,
                          public HasConvPackedParams {
 public:
  StaticConvolution(ConvPackedParams params, const OutputQParams& output) : params_(std::move(params)), output_(output) {}

  /// @param module  in a slot whose observer was calibrated
  /// @throws Error as ConvPackedParams::from_float and OutputQParams::from
  static std::shared_ptr<Self> from_float(const Float& module, const QConfig& qconfig, const std::string& path) {
    const TrainedParameters trained = trained_parameters(module, qconfig);
    return std::make_shared<Self>(
        ConvPackedParams::from_float(trained.weight, trained.bias, ConvolutionOptions::from(module.options), trained.observer,
                                     path + ": weight"),
        OutputQParams::from(module, path));
  }
  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<Self> from_state(const StateDict& state, const Attributes& attributes, const std::string& path) {
    auto params = ConvPackedParams::from_state(state, attributes, path);
    check(params.options().dimensions == kDimensions && params.options().geometry.transposed == kTransposed, path,
          ": the attributes are those of a ", params.options().geometry.transposed ? "transposed " : "", "convolution over ",
          params.options().dimensions, " dimensions, but ", Self::kKind, " was asked for");
    return std::make_shared<Self>(std::move(params), OutputQParams::from(state, attributes, path));
  }

  StateDict state_dict() const override {
    StateDict state;
    params_.append_to(state);
    output_.append_to(state);
    return state;
  }
  Attributes attributes() const override {
    Attributes attributes;
    params_.append_to(attributes);
    output_.append_to(attributes);
    return attributes;
  }
  int64_t weight_bytes() const override { return params_.weight_bytes(); }
  void pretty_print(std::ostream& stream) const override {
    const kernels::ConvolutionGeometry& geometry = params_.options().geometry;
    stream << Self::kKind << "(" << geometry.in_channels << ", " << geometry.out_channels << ", groups=" << geometry.groups
           << ", " << output_ << ")";
  }

  /// As ConvPackedParams::weight and bias.
  at::Tensor weight() const { return params_.weight(); }
  const at::Tensor& bias() const { return params_.bias(); }
  const OutputQParams& output() const { return output_; }
  const ConvolutionOptions& options() const { return params_.options(); }
  const ConvPackedParams& packed_params() const override { return params_; }

 protected:
  ConvPackedParams params_;
  OutputQParams output_;

 private:
  template <size_t D, class Derived>
  static std::integral_constant<int64_t, D> dimensions(const torch::nn::ConvNdImpl<D, Derived>&);
  static constexpr int64_t kDimensions = decltype(dimensions(std::declval<const Float&>()))::value;
  static constexpr bool kTransposed = std::is_base_of_v<torch::nn::ConvTransposeNdImpl<kDimensions, Float>, Float>;
};

/// @param input  quint8 or qint8 per tensor, [batch, in, sizes...] or without the batch, in any layout
/// @return [batch, out, sizes...], channels last, quantized
template <class Self, class Float, bool with_relu = false>
class ConvolutionOf : public StaticConvolution<Self, Float> {
 public:
  using StaticConvolution<Self, Float>::StaticConvolution;
  at::Tensor forward(const at::Tensor& input) override { return this->params_.apply(input, this->output_, with_relu); }
};

/// torch.ao.nn.quantized.Conv1d, Conv2d and Conv3d.
class Conv1dImpl : public ConvolutionOf<Conv1dImpl, torch::nn::Conv1dImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Conv1d";
  using ConvolutionOf::ConvolutionOf;
};
TORCH_MODULE(Conv1d);
class Conv2dImpl : public ConvolutionOf<Conv2dImpl, torch::nn::Conv2dImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Conv2d";
  using ConvolutionOf::ConvolutionOf;
};
TORCH_MODULE(Conv2d);
class Conv3dImpl : public ConvolutionOf<Conv3dImpl, torch::nn::Conv3dImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Conv3d";
  using ConvolutionOf::ConvolutionOf;
};
TORCH_MODULE(Conv3d);

/// As ConvolutionOf; the size of the result is that of the options.
/// @param output_size  none, or what it is anyway
template <class Self, class Float>
class TransposedConvolutionOf : public StaticConvolution<Self, Float> {
 public:
  using StaticConvolution<Self, Float>::StaticConvolution;
  at::Tensor forward(const at::Tensor& input, const std::optional<at::IntArrayRef>& output_size) override {
    const at::Tensor result = this->params_.apply(input, this->output_, /*relu=*/false);
    check(!output_size || result.sizes().slice(result.dim() - this->options().dimensions) == *output_size,
          ModulePathScope::current(), ": got the output size ", output_size.value_or(at::IntArrayRef()),
          " for a result of shape ", result.sizes(),
          "; a quantized transposed convolution has the size of its options, so set their output_padding");
    return result;
  }
};

/// torch.ao.nn.quantized.ConvTranspose1d, ConvTranspose2d and ConvTranspose3d.
class ConvTranspose1dImpl : public TransposedConvolutionOf<ConvTranspose1dImpl, torch::nn::ConvTranspose1dImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::ConvTranspose1d";
  using TransposedConvolutionOf::TransposedConvolutionOf;
};
TORCH_MODULE(ConvTranspose1d);
class ConvTranspose2dImpl : public TransposedConvolutionOf<ConvTranspose2dImpl, torch::nn::ConvTranspose2dImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::ConvTranspose2d";
  using TransposedConvolutionOf::TransposedConvolutionOf;
};
TORCH_MODULE(ConvTranspose2d);
class ConvTranspose3dImpl : public TransposedConvolutionOf<ConvTranspose3dImpl, torch::nn::ConvTranspose3dImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::ConvTranspose3d";
  using TransposedConvolutionOf::TransposedConvolutionOf;
};
TORCH_MODULE(ConvTranspose3d);

}  // namespace quantized

namespace intrinsic::quantized {

/// torch.ao.nn.intrinsic.quantized.ConvReLU1d, ConvReLU2d and ConvReLU3d.
class ConvReLU1dImpl : public nn::quantized::ConvolutionOf<ConvReLU1dImpl, torch::nn::Conv1dImpl, true> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::quantized::ConvReLU1d";
  using ConvolutionOf::ConvolutionOf;
};
TORCH_MODULE(ConvReLU1d);
class ConvReLU2dImpl : public nn::quantized::ConvolutionOf<ConvReLU2dImpl, torch::nn::Conv2dImpl, true> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::quantized::ConvReLU2d";
  using ConvolutionOf::ConvolutionOf;
};
TORCH_MODULE(ConvReLU2d);
class ConvReLU3dImpl : public nn::quantized::ConvolutionOf<ConvReLU3dImpl, torch::nn::Conv3dImpl, true> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::quantized::ConvReLU3d";
  using ConvolutionOf::ConvolutionOf;
};
TORCH_MODULE(ConvReLU3d);

/// As nn::quantized::ConvolutionOf, with a second tensor.
/// @param residual  quantized per tensor, of the result's shape
template <class Self, class Float, bool with_relu>
class ConvolutionAddOf : public nn::quantized::StaticConvolution<Self, Float> {
 public:
  using nn::quantized::StaticConvolution<Self, Float>::StaticConvolution;
  at::Tensor forward(const at::Tensor& input, const at::Tensor& residual) override {
    return this->params_.apply(input, this->output_, with_relu, &residual);
  }
};

/// torch.ao.nn.intrinsic.quantized.ConvAdd2d and ConvAddReLU2d.
class ConvAdd2dImpl : public ConvolutionAddOf<ConvAdd2dImpl, intrinsic::detail::ConvAdd2dImpl, false> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::quantized::ConvAdd2d";
  using ConvolutionAddOf::ConvolutionAddOf;
};
TORCH_MODULE(ConvAdd2d);
class ConvAddReLU2dImpl : public ConvolutionAddOf<ConvAddReLU2dImpl, intrinsic::detail::ConvAddReLU2dImpl, true> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::quantized::ConvAddReLU2d";
  using ConvolutionAddOf::ConvolutionAddOf;
};
TORCH_MODULE(ConvAddReLU2d);

}  // namespace intrinsic::quantized
}  // namespace octet::nn
