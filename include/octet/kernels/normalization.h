#pragma once

#include <octet/kernels/parallel.h>
#include <octet/kernels/quantize.h>

#include <cstdint>

namespace octet::kernels {

/// Quantized numbers of some channels, `[rows][channels][positions]`: contiguous images are [images][channels][pixels],
/// channels-last ones [images * pixels][channels][1], as are the rows of a matrix.
template <class Quantized>
struct ChannelRows {
  const Quantized* q;
  int64_t rows;
  int64_t channels;
  int64_t positions;
};

/// What a channel's normalized values are multiplied with, and what is then added.
struct ChannelTerms {
  const float* weight;  ///< [channels]
  const float* bias;    ///< [channels]
};

// Normalization of 8-bit numbers. Quantized is uint8_t or int8_t. With `center`, `scale` and `shift` as below,
//   y = fma(fma(float(q - center), scale, shift), weight, bias)
// in float32, and `out`, of the layout of x, is y quantized as quantize() does. To add a relu, raise quant_min to the zero
// point. `out` may be x.
// @throws std::invalid_argument as quantize() does, for the qparams of the output

/// By terms that are known beforehand: center is the zero point of x and shift 0, so that y = fma(x, weight, bias).
/// @param qparams  of x; its range is not read
template <class Quantized>
void batch_norm(const ChannelRows<Quantized>& x, const AffineQParams& qparams, const ChannelTerms& terms,
                const AffineQParams& out_qparams, Quantized* out, ParallelFor parallel_for = serial_for);

/// By the mean and the variance of each group of channels in each row, of which there are n = channels / groups * positions
/// numbers. Their sums are exact:
///   center = the integer nearest to the mean of q, halves to even
///   s = Σ(q - center), ss = Σ(q - center)^2
/// and what follows is computed in float64, then rounded to float32:
///   variance = (ss - s / n * s) / n
///   scale    = x_scale / sqrt(variance * x_scale * x_scale + eps)
///   shift    = -(s / n) * scale
/// So a group whose numbers are all equal comes out as its bias. (With eps = 0 it has no value and becomes quant_min.)
/// The zero point of x has no part in this.
/// @param groups  divides the channels
template <class Quantized>
void group_norm(const ChannelRows<Quantized>& x, int64_t groups, float x_scale, double eps, const ChannelTerms& terms,
                const AffineQParams& out_qparams, Quantized* out, ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
