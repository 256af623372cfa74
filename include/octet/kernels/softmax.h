#pragma once

#include <octet/kernels/parallel.h>

#include <cstdint>

namespace octet::kernels {

/// Softmax of each row of 8-bit numbers, exact in its sums, so that neither the order of the columns nor the ISA shows.
/// With d = max(row) - q, of which there are 256 at most,
///   e(d) = nearbyint(2^32 * exp(-min(scale * d, 105)))   an integer; exp is the float32 polynomial that sigmoid has
///   y    = float(e(d)) / float(Σ e)                      in float32, the sum in int64
/// The zero point has no part in this. Quantized is uint8_t or int8_t.
/// @param q, y  [rows][columns]; columns < 2^31
template <class Quantized>
void softmax(const Quantized* q, int64_t rows, int64_t columns, float scale, float* y, ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
