// Fake quantization of a tensor with its gradient: what the fake quantizers compute.
#pragma once

#include <octet/observe/observer.h>

namespace octet {

/// Rounds x to what the target's integers can hold: (clamp(nearbyint(x * (1 / scale)) + zero_point, quant_min, quant_max) -
/// zero_point) * scale. The gradient passes where x was rounded and not clamped (straight-through), at any order; a bit for each
/// element is all that is kept for it, and nothing where no gradient is asked for.
/// Float, Half and BFloat16 on the CPU are computed in float32 by octet's kernel, for any dense layout without a copy; all else
/// by ATen's operators. The result has the dtype and the layout of x.
/// @param x           floating, with elements
/// @param scale       float32 on x's device: one element, or one for each channel of dimension target.ch_axis
/// @param zero_point  int32 likewise; float32 for per_channel_affine_float_qparams
/// @throws Error if they do not fit x or the target
at::Tensor fake_quantize(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                         const QuantizationTarget& target);

struct LearnableGradients {
  at::Tensor x;           ///< as x
  at::Tensor scale;       ///< as the scale
  at::Tensor zero_point;  ///< as the scale
};

/// The gradients of fake_quantize() by all that is learned, for integer zero points, with steps = x / scale:
/// - x:          the gradient where x was rounded only, 0 where it was clamped;
/// - scale:      sum of gradient * (round(steps) - steps where x was rounded only, bound - zero_point where it was clamped);
/// - zero_point: -scale * sum of the gradient where x was clamped.
/// By octet's kernel where fake_quantize() is, else by operators. @throws Error as fake_quantize()
LearnableGradients learnable_gradients(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& scale,
                                       const at::Tensor& zero_point, const QuantizationTarget& target);

}  // namespace octet
