#pragma once

#include <octet/tensor/dtype.h>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace octet {

// Arithmetic between quantized tensors whose results have a scale and zero point that the caller knows: what torch.ao has as
// `torch.ops.quantized`. The formulas are in docs/arithmetic.md.
//
// Operands are quint8 or qint8 per tensor, all of one dtype, which is the result's; they broadcast, and the result is laid out
// (channels last or not), as at::add does it. Results are new tensors. All record no gradients, and throw octet::Error, which
// names the innermost module, for float tensors, for other kinds of quantized ones, for sizes that don't go together, and for a
// scale or zero point that Quantizer::per_tensor refuses.

/// a + b, with `relu` max(a + b, 0).
at::Tensor quantized_add(const at::Tensor& a, const at::Tensor& b, double scale, int64_t zero_point, bool relu = false);

/// a * b element by element, with `relu` max(a * b, 0).
at::Tensor quantized_mul(const at::Tensor& a, const at::Tensor& b, double scale, int64_t zero_point, bool relu = false);

/// a + value, where the value counts as the nearest multiple of a's scale. The integers stay and the zero point moves; where it
/// would leave the dtype's range, the scale grows until the range of `a` and the real zero fit. These are ATen's qparams.
at::Tensor quantized_add_scalar(const at::Tensor& a, double value);

/// a * value, exact: the scale is multiplied by |value|, and a negative value mirrors the integers. For 0 it is a tensor of zeros
/// with scale 1 and zero point 0. These are ATen's qparams.
at::Tensor quantized_mul_scalar(const at::Tensor& a, double value);

/// Joins tensors, which differ in size along `dim` only. Values of another scale or zero point are quantized again.
at::Tensor quantized_cat(at::TensorList tensors, int64_t dim, double scale, int64_t zero_point);

/// Matrix products [..., m, k] x [..., k, n], whose leading dimensions broadcast. The sums are exact in int32.
/// @throws Error also for k > kernels::PackedWeight::kMaxAffineDepth, where they might not be
at::Tensor quantized_matmul(const at::Tensor& a, const at::Tensor& b, double scale, int64_t zero_point);

/// The softmax along a dimension, counted from the end if negative, as plain float32 probabilities: exact in its sums, as
/// kernels::softmax says. @throws Error also where `a` lacks the dimension
at::Tensor softmax_values(const at::Tensor& a, int64_t dim);

/// The values of a quantized tensor of any kind, quantized again.
/// @param dtype  quint8, qint8 or qint32
at::Tensor requantize(const at::Tensor& tensor, double scale, int64_t zero_point, DType dtype);

/// What the function makes of each of the 256 values that `a` can have, looked up for each element; the dtype stays. The
/// function gets them as float64 and returns results of the same sizes.
/// @throws Error also for elements whose result is not finite
/// See LookupTable, which keeps the table.
at::Tensor quantized_unary(const at::Tensor& a, const std::function<at::Tensor(const at::Tensor&)>& function, double scale,
                           int64_t zero_point);

}  // namespace octet
