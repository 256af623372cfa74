#pragma once

#include <octet/kernels/convolution.h>
#include <octet/kernels/convolution_algorithm.h>
#include <octet/nn/implementation.h>
#include <octet/nn/output_qparams.h>
#include <octet/nn/weight_observer.h>

#include <torch/nn/options/conv.h>

#include <cstdint>
#include <string>
#include <vector>

namespace octet::nn {
struct QuantizedWeight;
}

namespace octet::nn::quantized {

/// The options of a convolution over one to three dimensions, transposed or not.
struct ConvolutionOptions {
  int64_t dimensions = 2;
  kernels::ConvolutionGeometry geometry;

  /// Padding that goes before the convolution because the geometry's, zeros alike on both sides, can't express it: before and
  /// after each spatial dimension, the first dimension first. Empty if there is none.
  std::vector<int64_t> explicit_padding;
  std::string padding_mode = "zeros";  ///< of the explicit padding: "zeros", "reflect", "replicate" or "circular"

  /// From those of a torch::nn module. padding = "same" and "valid" are resolved.
  template <size_t D>
  static ConvolutionOptions from(const torch::nn::detail::ConvNdOptions<D>& options);

  /// To and from the attributes of a module. @throws Error for what is missing or can't be
  void append_to(Attributes& attributes) const;
  static ConvolutionOptions from(const Attributes& attributes, const std::string& where);
};

extern template ConvolutionOptions ConvolutionOptions::from(const torch::nn::detail::ConvNdOptions<1>&);
extern template ConvolutionOptions ConvolutionOptions::from(const torch::nn::detail::ConvNdOptions<2>&);
extern template ConvolutionOptions ConvolutionOptions::from(const torch::nn::detail::ConvNdOptions<3>&);

/// The weight and the bias of one convolution, ready for the engine: torch.ao's ConvPackedParams. Immutable; copies share the
/// storage, and any number of threads may use it at once.
class ConvPackedParams {
 public:
  /// Quantizes a float weight as its observer asks: qint8, per tensor or per output channel. The observer sees
  /// the output channels along dimension 0, for transposed convolutions too, whose weights have them elsewhere; so
  /// those may be quantized per channel (torch.ao can't).
  /// @param weight  as torch.nn has it: [out, in / groups, kernel...], transposed [in, out / groups, kernel...]
  /// @param bias    [out], or undefined
  /// @throws Error for other dtypes and shapes, for NaN and infinities, for an observer of another dtype, or none
  static ConvPackedParams from_float(const at::Tensor& weight, const at::Tensor& bias, const ConvolutionOptions& options,
                                     const WeightObserver& observer, const std::string& where);

  /// The inverse of append_to. @throws Error that names what is missing or of a wrong shape, dtype or value
  static ConvPackedParams from_state(const StateDict& state, const Attributes& attributes, const std::string& where);

  /// Adds `weight` (int8, as torch.nn has it), `weight_scale` (float32, [1] or [out]), `weight_zero_point` (int32, alike) and,
  /// if there is one, `bias`; the options to the attributes.
  void append_to(StateDict& state) const;
  void append_to(Attributes& attributes) const { options_.append_to(attributes); }

  const ConvolutionOptions& options() const { return options_; }
  int64_t weight_bytes() const;

  /// The weight: a quantized tensor (qint8), as torch.nn has it. Unpacked anew with each call. Transposed convolutions with one
  /// scale for each channel have no such tensor if they have groups, since no axis of theirs runs along the channels: an Error.
  at::Tensor weight() const;
  const at::Tensor& bias() const { return bias_; }  ///< float32, or undefined

  /// The convolution, then the residual if there is one, then relu if asked for, requantized.
  /// @param input     quint8 or qint8 per tensor, [batch, in, sizes...] in any layout, or without the batch
  /// @param residual  quantized per tensor, of the result's shape, or null
  /// @return [batch, out, sizes...], channels last
  /// @throws Error, which names the module that runs, for other inputs, and for those that are smaller than the kernel
  at::Tensor apply(const at::Tensor& input, const OutputQParams& output, bool relu, const at::Tensor* residual = nullptr) const;

  /// By which algorithm apply() computes inputs of that shape on the selected ISA.
  /// @param input_sizes  [batch, in, sizes...]
  kernels::ConvolutionAlgorithm algorithm(at::IntArrayRef input_sizes) const;

 private:
  ConvPackedParams(const QuantizedWeight& weight, const at::Tensor& bias, const ConvolutionOptions& options,
                   const std::string& where);

  /// int8 as torch.nn has it.
  at::Tensor integers() const;

  ConvolutionOptions options_;
  kernels::PackedConvolution packed_;
  std::vector<float> scale_;         // [1] or [out]
  std::vector<int32_t> zero_point_;  // alike; empty when all are zero
  at::Tensor bias_;
};

/// What every statically quantized convolution is, whatever its class.
class HasConvPackedParams {
 public:
  virtual ~HasConvPackedParams() = default;
  virtual const ConvPackedParams& packed_params() const = 0;
};

}  // namespace octet::nn::quantized
