#pragma once

#include <octet/tensor/dtype.h>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <optional>

namespace octet {

/// Scale and zero point, as observers return them.
/// `scale`: float32, [1] or [channels]. `zero_point`: int64 of the same shape; float32 for per_channel_affine_float_qparams.
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
/// (UniformQuantizationObserverBase._calculate_qparams): all in float32; [min, max] is widened to hold 0;
/// affine: scale = max((max - min) / (quant_max - quant_min), eps), zero_point = quant_min - round(min / scale), clamped.
/// @param min_val, max_val  float32, one element or [channels], min_val <= max_val, finite
/// @throws Error for NaN, infinities, min_val > max_val, unequal shapes, an empty quantization range
QParams choose_qparams(const at::Tensor& min_val, const at::Tensor& max_val, const QParamsOptions& options);

/// Scale and zero point of one tensor, in plain numbers.
struct TensorQParams {
  double scale;
  int64_t zero_point;
};

/// Scale and zero point as ATen's dynamic quantization chooses them (quant_utils::ChooseQuantizationParams): in double, with
/// the zero point taken from the end of the range that has the smaller error.
/// @param reduce_range  halve the integer range (torch.ao does so to hide saturating kernels; ours never need it)
TensorQParams choose_dynamic_qparams(float min, float max, int64_t quant_min, int64_t quant_max, bool reduce_range = false,
                                     bool preserve_sparsity = false);

}  // namespace octet
