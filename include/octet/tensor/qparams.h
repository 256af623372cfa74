#pragma once

#include <octet/tensor/dtype.h>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <optional>

namespace octet {

/// Scale and zero point, as observers return them.
/// `scale`: float32, [1] or [channels]. `zero_point`: int64 of the same shape (torch.ao returns int32 for the affine schemes
/// and int64 for the symmetric ones; the values are equal); float32 for per_channel_affine_float_qparams.
struct QParams {
  at::Tensor scale;
  at::Tensor zero_point;
};

/// What choose_qparams needs to know beside the minimum and the maximum.
struct QParamsOptions {
  DType dtype = quint8;
  QScheme qscheme = per_tensor_affine;
  int64_t quant_min = 0;
  int64_t quant_max = 255;
  double eps = std::numeric_limits<float>::epsilon();  ///< lowest scale
  /// A quant_min/quant_max of the user's own: symmetric schemes of quint8 then put the zero point in its middle.
  bool has_customized_qrange = false;
};

/// Scale and zero point for a range of values, bit for bit as torch.ao's observers compute them
/// (UniformQuantizationObserverBase._calculate_qparams). All is computed in float32, and except for float qparams
/// [min, max] is first widened to hold 0:
/// - affine: scale = max((max - min) / (quant_max - quant_min), eps), zero_point = quant_min - round(min / scale), clamped;
/// - symmetric: scale = max(max(-min, max) / ((quant_max - quant_min) / 2), eps); zero_point is 0, for quint8 128 or
///   the middle of a customized range;
/// - float qparams: scale = (max - min) / (quant_max - quant_min), or 1 where that is not above eps;
///   zero_point = -min / scale.
/// A range that has seen nothing (no element, or the one pair inf, -inf) gives scale 1 and zero point 0.
/// A finite range so wide that its width overflows float32 gives scale inf, as in torch.ao; quantizing with it is an error.
/// @param min_val, max_val  float32, one element or [channels], min_val <= max_val, finite
/// @throws Error for NaN, infinities, min_val > max_val, unequal shapes, an empty quantization range
QParams choose_qparams(const at::Tensor& min_val, const at::Tensor& max_val, const QParamsOptions& options);

/// Scale and zero point of one tensor, in plain numbers.
struct TensorQParams {
  double scale;
  int64_t zero_point;
};

/// Scale and zero point as ATen's dynamic quantization chooses them (quant_utils::ChooseQuantizationParams): in double, with
/// the zero point taken from the end of the range that has the smaller rounding error, and no scale below 6.1e-5.
/// @param min, max  finite, min <= max; widened to hold 0
/// @param reduce_range  halve the integer range (torch.ao does so to hide saturating kernels; ours never need it)
/// @param preserve_sparsity  a range with both signs is made symmetric and its zero point the middle of the integer range
/// @throws Error for NaN, infinities, min > max, an empty quantization range
TensorQParams choose_dynamic_qparams(float min, float max, int64_t quant_min, int64_t quant_max, bool reduce_range = false,
                                     bool preserve_sparsity = false);

}  // namespace octet
