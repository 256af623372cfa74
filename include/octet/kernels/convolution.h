#pragma once

#include <octet/kernels/gemm.h>
#include <octet/kernels/parallel.h>
#include <octet/kernels/quantize.h>

#include <array>
#include <cstdint>
#include <memory>

namespace octet::kernels {

/// Depth, height and width. A convolution over fewer dimensions has depth 1, or depth and height 1.
using Spatial = std::array<int64_t, 3>;

/// The shape of a convolution, or of a transposed one, as torch.nn.Conv3d and torch.nn.ConvTranspose3d define it.
struct ConvolutionGeometry {
  int64_t in_channels = 1;
  int64_t out_channels = 1;
  int64_t groups = 1;  ///< divides both; equal to in_channels for a depthwise convolution
  Spatial kernel{1, 1, 1};
  Spatial stride{1, 1, 1};
  Spatial padding{0, 0, 0};  ///< with the real number 0, that is with the zero point
  Spatial dilation{1, 1, 1};
  bool transposed = false;
  Spatial output_padding{0, 0, 0};  ///< of transposed ones

  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }

  /// The size of the output for an input of that size; not positive where the kernel does not fit.
  Spatial output_size(const Spatial& input) const;

  bool operator==(const ConvolutionGeometry&) const = default;
};

/// The weight of a convolution, laid out once for the kernels of every ISA. Immutable; copies share the storage, and any number
/// of threads may use it at once.
class PackedConvolution {
 public:
  /// @param weight  [out_channels][taps][in_channels / groups]: channels last; of transposed ones too
  /// @throws std::invalid_argument for sizes that are not positive, groups that do not divide the channels, and sums over more
  ///         than PackedWeight::kMaxDepth products
  PackedConvolution(const int8_t* weight, const ConvolutionGeometry& geometry);

  const ConvolutionGeometry& geometry() const;

  /// How many products make one sum: taps * in_channels / groups.
  int64_t depth() const;
  int64_t bytes() const;  ///< of what is stored, the sums over the weights included

  /// Writes back what was packed. @param weight  [out_channels][taps][in_channels / groups]
  void unpack(int8_t* weight) const;

  struct Layout;
  const Layout& layout() const { return *layout_; }

 private:
  std::shared_ptr<const Layout> layout_;
};

/// Quantized images, channels last and contiguous: [batch][depth][height][width][in_channels].
/// Signed activations: store `q ^ 0x80` and add 128 to the zero point, as for gemm().
struct ConvolutionInput {
  const uint8_t* q = nullptr;
  int64_t batch = 0;
  Spatial size{1, 1, 1};
  float scale = 1.0f;
  int32_t zero_point = 0;  ///< 0 .. 255
};

/// Convolution with requantized output. For each output channel c of each output pixel,
///   sum = Σ (q - zero_point) * (w[c] - weight_zero_point_c), exact, over the kernel's taps and the group's channels,
/// and from there as gemm() with requantized output: bias, residual, relu, rounding and clamping by one formula.
/// Results do not depend on the ISA, the number of threads, or the other images of the batch.
/// @param out  [batch][output_size][out_channels], contiguous
/// @throws std::invalid_argument for an input on which the kernel does not fit, and as gemm()
void convolution(const ConvolutionInput& input, const PackedConvolution& weight, const WeightQParams& weight_qparams,
                 const Epilogue& epilogue, const AffineQParams& out_qparams, uint8_t* out, ParallelFor parallel_for = serial_for);
void convolution(const ConvolutionInput& input, const PackedConvolution& weight, const WeightQParams& weight_qparams,
                 const Epilogue& epilogue, const AffineQParams& out_qparams, int8_t* out, ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
