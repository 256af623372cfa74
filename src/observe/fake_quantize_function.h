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

/// The dimension of x that target.ch_axis means. @throws Error if there is none, or if it has not as many channels as the scale
int64_t channel_dimension(const at::Tensor& x, const at::Tensor& scale, const QuantizationTarget& target);

}  // namespace octet
