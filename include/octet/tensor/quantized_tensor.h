#pragma once

#include <octet/tensor/dtype.h>
#include <octet/tensor/quantizer.h>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace octet {

// A quantized tensor is an at::Tensor that holds plain integers and a Quantizer. Its logical dtype is float32. Torch functions
// take it: those with a meaning on integers compute on them, all others throw octet::Error (see FloatFallbackGuard). Views
// share memory, in-place ops change it. Printing shows the dequantized values.
// The methods dequantize(), int_repr(), q_scale(), q_zero_point() and q_per_channel_*() of at::Tensor work too; is_quantized()
// and qscheme() of at::Tensor don't, as they speak of LibTorch's own quantized dtypes.

bool is_quantized(const at::Tensor& tensor);

// What follows throws Error for tensors that are not quantized, and the q_ functions for the other kind of scheme.

/// The plain integers: uint8, int8 or int32. They share memory with `tensor` (at::Tensor::int_repr() copies).
/// Sub-byte dtypes: the packed bytes, [ceil(numel * bits / 8)].
at::Tensor int_repr(const at::Tensor& tensor);

const Quantizer& quantizer(const at::Tensor& tensor);
DType q_dtype(const at::Tensor& tensor);
QScheme qscheme(const at::Tensor& tensor);
double q_scale(const at::Tensor& tensor);
int64_t q_zero_point(const at::Tensor& tensor);
at::Tensor q_per_channel_scales(const at::Tensor& tensor);
at::Tensor q_per_channel_zero_points(const at::Tensor& tensor);
int64_t q_per_channel_axis(const at::Tensor& tensor);

/// A quantized tensor made of integers that were computed elsewhere, which it shares memory with. Their dtype decides:
/// uint8 is quint8, int8 is qint8, int32 is qint32.
at::Tensor make_per_tensor_quantized(const at::Tensor& integers, double scale, int64_t zero_point);
at::Tensor make_per_channel_quantized(const at::Tensor& integers, const at::Tensor& scales, const at::Tensor& zero_points,
                                      int64_t axis);

/// The same with a quantizer of any kind.
/// @param sizes  of the quantized tensor. For sub-byte dtypes, whose integers are packed bytes, it must be given.
/// @throws Error if the integers' dtype is not the quantizer's storage, or the sizes don't fit
at::Tensor make_quantized(const at::Tensor& integers, Quantizer quantizer, std::optional<at::IntArrayRef> sizes = std::nullopt);

}  // namespace octet
