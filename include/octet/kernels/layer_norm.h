#pragma once

#include <octet/kernels/matrix.h>
#include <octet/kernels/parallel.h>

#include <cstdint>

namespace octet::kernels {

/// Layer normalization of float32, and the sum of a residual connection before it. With z = x + residual, or x if there is none,
/// of each row of n columns:
///   mean = Σ z / n;  variance = Σ (z - mean)^2 / n, the squares added with an fma each
///   out = fma((z - mean) * (1 / sqrt(variance + eps)), weight, bias)
/// in float32. Each sum is that of 16 partial sums, which half.h has too; so results depend neither on the ISA nor on other rows.
/// @param residual      [rows][columns], or null
/// @param weight, bias  [columns]
/// @param out           [rows][columns]; may be x or residual
void layer_norm(Matrix<const float> x, const Matrix<const float>* residual, int64_t rows, int64_t columns, float eps,
                const float* weight, const float* bias, Matrix<float> out, ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
