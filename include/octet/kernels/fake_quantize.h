#pragma once

#include <octet/kernels/parallel.h>

#include <cstdint>

namespace octet::kernels {

/// Where the channels of a dense tensor lie in memory: [outer][channels][inner]. A tensor that is quantized as a whole is one
/// channel of all its elements.
struct ChannelLayout {
  int64_t outer = 1;
  int64_t channels = 1;
  int64_t inner = 0;

  int64_t rows() const { return outer * channels; }
  int64_t row_mask_bytes() const { return (inner + 7) / 8; }

  /// The size of the mask of fake_quantize(): a bit for each element, and each row of `inner` elements begins with a new byte.
  int64_t mask_bytes() const { return rows() * row_mask_bytes(); }
};

/// How fake_quantize() rounds: a scale and a zero point for each channel, and one range of integers for all.
struct ChannelQParams {
  const float* scale = nullptr;         ///< [channels]
  const int32_t* zero_point = nullptr;  ///< [channels], in quant_min .. quant_max
  int32_t quant_min = 0;
  int32_t quant_max = 255;
};

/// `out = (clamp(nearbyint(x * (1.0f / scale)) + zero_point, quant_min, quant_max) - zero_point) * scale`: what dequantize()
/// makes of the integers of quantize(), bit for bit; of ranges that are wider than 8 bits too, with all but the products computed
/// as integers. Infinities clamp, NaN gives quant_min. x and out may be the same.
/// @param mask  [layout.mask_bytes()] or null: bit i % 8 of byte i / 8 of a row says whether element i was rounded only and not
///              clamped; it is 0 for NaN and beyond the end of the row
/// @throws std::invalid_argument for a scale that is not positive and finite, an empty range or a zero point outside of it
void fake_quantize(const float* x, const ChannelLayout& layout, const ChannelQParams& qparams, float* out,
                   uint8_t* mask = nullptr, ParallelFor parallel_for = serial_for);

/// The gradient of fake_quantize() that lets pass what was rounded only (straight-through): grad_out where the mask is set, +0
/// where it is not. grad_out and grad_in may be the same.
void fake_quantize_backward(const float* grad_out, const ChannelLayout& layout, const uint8_t* mask, float* grad_in,
                            ParallelFor parallel_for = serial_for);

/// The gradients of fake_quantize() where scales and zero points are learned (LSQ, arXiv 1902.08153), with
/// steps = x * (1.0f / scale):
/// - grad_in = grad_out where x was rounded only, +0 where it was clamped;
/// - grad_scale[channel] = Σ grad_out * (nearbyint(steps) - steps where x was rounded only, bound - zero_point where it was
/// clamped);
/// - grad_zero_point[channel] = -scale * Σ grad_out where x was clamped.
/// Sums are float32 within 4096 elements of a row and double beyond, in one order on every ISA and any number of threads.
/// grad_out and grad_in may be the same. @throws as fake_quantize()
void fake_quantize_learnable_backward(const float* x, const float* grad_out, const ChannelLayout& layout,
                                      const ChannelQParams& qparams, float* grad_in, float* grad_scale, float* grad_zero_point,
                                      ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
