#pragma once

#include <octet/kernels/parallel.h>

#include <cstdint>

namespace octet::kernels {

/// Logistic function and hyperbolic tangent in float32, built of IEEE operations alone, so that every ISA gives the
/// same bits (which a C library's do not promise). At most 3 units in the last place from the true value, denormal
/// results excepted: there sigmoid gives zero (an error below 1.2e-38). NaN gives NaN, infinities the limits. x and y
/// may be the same.
void sigmoid(const float* x, int64_t n, float* y, ParallelFor parallel_for = serial_for);
void tanh(const float* x, int64_t n, float* y, ParallelFor parallel_for = serial_for);

/// x Φ(x) with the normal distribution's Φ, in the same manner: the exact GELU, not that by tanh. At most 2e-7 |x| from the true
/// value. -infinity gives NaN, as the product of infinity and zero does. x and y may be the same.
void gelu(const float* x, int64_t n, float* y, ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
