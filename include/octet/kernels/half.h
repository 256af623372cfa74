#pragma once

#include <octet/kernels/gemm.h>
#include <octet/kernels/matrix.h>
#include <octet/kernels/parallel.h>

#include <cstdint>

namespace octet::kernels {

/// IEEE binary16 numbers are held as their bits.
using half_bits = uint16_t;

/// Rounds to nearest even; what is too large becomes an infinity, NaNs keep their sign and leading payload and become
/// quiet.
half_bits float_to_half(float value);
/// Exact; a signaling NaN becomes quiet.
float half_to_float(half_bits value);

void float_to_half(const float* x, int64_t n, half_bits* y, ParallelFor parallel_for = serial_for);
void half_to_float(const half_bits* x, int64_t n, float* y, ParallelFor parallel_for = serial_for);

/// Linear layer with half-precision weights: `out[r][c] = Σ_k x[r][k] * w[c][k] + bias_c`, computed in float32.
/// The order of the sum is fixed: x and w are thought of as padded with zeros to a multiple of 16; partial sum l (0 ..
/// 15) takes k = l, l + 16, ... with an fma each; then partial sums l and l + 8 are added, l and l + 4, l and l + 2, l
/// and l + 1; then the bias. So results do not depend on the ISA, the number of threads or the number of rows.
/// @param x       [rows][k]
/// @param weight  [n][k]
/// @param out     [rows][n]
void half_gemm(Matrix<const float> x, int64_t rows, Matrix<const half_bits> weight, int64_t n, int64_t k,
               const Epilogue& epilogue, Matrix<float> out, ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
