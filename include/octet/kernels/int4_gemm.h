#pragma once

#include <octet/kernels/gemm.h>
#include <octet/kernels/matrix.h>
#include <octet/kernels/packed_int4_weight.h>
#include <octet/kernels/parallel.h>
#include <octet/kernels/quantize.h>

#include <cstdint>

namespace octet::kernels {

/// Linear layer with 4-bit weights and float activations, which are quantized to 16 bits on the way, symmetrically and each row
/// by itself, so that the error is that of the weights:
///   scale_r = max(max|x_r| / 32767, 2^-126);  q[r][k] = nearbyint(x[r][k] * (1.0f / scale_r)), half to even
///   sum_g = Σ_(k of group g) q[r][k] * (w[c][k] - zero_point[c][g])              exact, it fits int32
///   acc = fma(float(sum_g), weight_scale[c][g], acc), from +0 on, group by group
///   out[r][c] = fma(acc, scale_r, bias_c)
/// in float32, where float(sum) rounds to nearest even and an fma once; then relu and upper bound, as in gemm().
/// Results do not depend on the ISA, the number of threads or on what other rows there are.
/// @param x         [rows][k]
/// @param ranges    [rows], as min_max_rows() gives them for x; they must be finite and without NaN, which have no place on an
///                  integer scale. A caller who looks at them first can say better than this function where they came from.
/// @param epilogue  without a residual
/// @param out       [rows][n]; must not overlap the inputs
/// @throws std::invalid_argument for a row whose range is not finite, negative rows, a residual and an upper bound
///         that is not positive; nothing is written then
void int4_gemm(Matrix<const float> x, const MinMax* ranges, int64_t rows, const PackedInt4Weight& weight,
               const Epilogue& epilogue, Matrix<float> out, ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
