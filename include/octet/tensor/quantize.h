#pragma once

#include <octet/tensor/dtype.h>
#include <octet/tensor/quantizer.h>

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace octet {

// From float tensors to quantized ones and back. The formulas are those of docs/arithmetic.md, bit for bit ATen's:
//   affine         q = clamp(nearbyint(x * (1.0f / scale)) + zero_point, quant_min, quant_max)
//   float qparams  q = clamp(nearbyint(x * (1.0f / scale) + zero_point), quant_min, quant_max), also for the sub-byte dtypes
//   back           x = (q - zero_point) * scale
// in float32, halves to even. Infinities clamp; NaN becomes quant_min.
// All take float32 tensors on the CPU, keep their sizes and their memory format (contiguous or channels last), return tensors
// that share no memory with them and record no gradients.

/// @throws Error for another dtype of `input`, and as Quantizer::per_tensor does
at::Tensor quantize_per_tensor(const at::Tensor& input, double scale, int64_t zero_point, DType dtype);

/// The same with tensors of one element.
at::Tensor quantize_per_tensor(const at::Tensor& input, const at::Tensor& scale, const at::Tensor& zero_point, DType dtype);

/// @param scales, zero_points  [input.size(axis)]; floating-point zero points give per_channel_affine_float_qparams
/// @param axis  0 .. input.dim() - 1
/// @throws Error as Quantizer::per_channel does, and where the axis or the number of channels does not fit `input`
at::Tensor quantize_per_channel(const at::Tensor& input, const at::Tensor& scales, const at::Tensor& zero_points, int64_t axis,
                                DType dtype);

/// Takes scale and zero point from the minimum and maximum of `input` (choose_dynamic_qparams).
/// @param dtype  quint8, qint8, or float16, which gives a plain half-precision tensor as in ATen
/// @throws Error for other dtypes, for an empty input, for NaN and infinities
at::Tensor quantize_per_tensor_dynamic(const at::Tensor& input, DType dtype, bool reduce_range);

/// With a quantizer of any kind.
at::Tensor quantize(const at::Tensor& input, const Quantizer& quantizer);

/// A plain float32 tensor of the values. A tensor that is not quantized comes back as float32.
at::Tensor dequantize(const at::Tensor& tensor);

}  // namespace octet
