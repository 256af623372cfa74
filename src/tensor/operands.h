// What the functions of functional.h ask of their arguments.
#pragma once

#include <octet/kernels/quantize.h>
#include <octet/tensor/quantizer.h>

#include <ATen/core/Tensor.h>

#include <string_view>

namespace octet {

/// The quantizer of an operand, which must be per tensor and 8 bits wide.
/// @throws Error that names the function, the operand and the way out
const Quantizer& operand_quantizer(const at::Tensor& operand, std::string_view function, std::string_view name);

/// The dtype of two operands. @throws Error as operand_quantizer(), and if they differ in it
DType common_dtype(const at::Tensor& a, const at::Tensor& b, std::string_view function);

/// Quantizer::per_tensor in the name of a function.
Quantizer output_quantizer(double scale, int64_t zero_point, DType dtype, std::string_view function);

/// As the kernels take it.
kernels::AffineQParams kernel_qparams(const Quantizer& quantizer);

}  // namespace octet
