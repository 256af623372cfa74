#pragma once

#include <octet/kernels/convolution.h>

#include <cstdint>
#include <string_view>

namespace octet::kernels {

/// How a convolution is computed. All algorithms are exact: they give the same integers.
enum class ConvolutionAlgorithm : uint8_t {
  gemm,          ///< a product of the weight and a matrix of each pixel's taps
  depthwise,     ///< tap by tap, where each channel has a group of its own
  winograd_2x2,  ///< F(2x2, 3x3): 16 products instead of 36
  winograd_4x4,  ///< F(4x4, 3x3): 36 products instead of 144
};

/// "gemm", "depthwise", "winograd 2x2", "winograd 4x4"
std::string_view name(ConvolutionAlgorithm algorithm);

/// The one that convolution() takes for such an input on the selected ISA: the one that is expected to be the fastest of those
/// that are exact for the weight.
/// @param affine  whether the weight has zero points
ConvolutionAlgorithm convolution_algorithm(const ConvolutionInput& input, const PackedConvolution& weight, bool affine);

/// Makes every convolution of the process take one algorithm, where it can, for as long as the object lives. Meant for tests and
/// benchmarks; objects nest, and must not be created while another thread is inside a kernel.
class ScopedConvolutionAlgorithm {
 public:
  explicit ScopedConvolutionAlgorithm(ConvolutionAlgorithm algorithm);
  ~ScopedConvolutionAlgorithm();
  ScopedConvolutionAlgorithm(const ScopedConvolutionAlgorithm&) = delete;
  ScopedConvolutionAlgorithm& operator=(const ScopedConvolutionAlgorithm&) = delete;

 private:
  int previous_;
};

}  // namespace octet::kernels
