#pragma once

#include <octet/kernels/matrix.h>
#include <octet/kernels/parallel.h>

#include <cstdint>
#include <limits>

namespace octet::kernels {

/// The range of some values. NaNs are left out of it and reported; infinities are values like others. A zero is +0.
struct MinMax {
  float min = std::numeric_limits<float>::infinity();   ///< +inf where there is no value
  float max = -std::numeric_limits<float>::infinity();  ///< -inf where there is no value
  bool has_nan = false;

  bool operator==(const MinMax&) const = default;
};

MinMax min_max(const float* x, int64_t n, ParallelFor parallel_for = serial_for);

/// @param ranges  [rows]
void min_max_rows(Matrix<const float> x, int64_t rows, int64_t columns, MinMax* ranges, ParallelFor parallel_for = serial_for);

/// A map between real numbers and the integers quant_min .. quant_max, which must lie in 0 .. 255 or in -128 .. 127, as
/// the integers' type is; so must the zero point.
struct AffineQParams {
  float scale = 1.0f;
  int32_t zero_point = 0;
  int32_t quant_min = 0;
  int32_t quant_max = 255;
};

/// `q = clamp(nearbyint(x * (1.0f / scale)) + zero_point, quant_min, quant_max)`, in float32, half to even; infinities
/// clamp, NaN gives quant_min.
/// @throws std::invalid_argument for a scale that is not positive and for a range or zero point that the type can't
/// hold
void quantize(const float* x, int64_t n, const AffineQParams& qparams, uint8_t* q, ParallelFor parallel_for = serial_for);
void quantize(const float* x, int64_t n, const AffineQParams& qparams, int8_t* q, ParallelFor parallel_for = serial_for);

/// `x = (q - zero_point) * scale`. Reads only scale and zero_point of the parameters.
void dequantize(const uint8_t* q, int64_t n, const AffineQParams& qparams, float* x, ParallelFor parallel_for = serial_for);
void dequantize(const int8_t* q, int64_t n, const AffineQParams& qparams, float* x, ParallelFor parallel_for = serial_for);

/// `y = quantize(dequantize(x))`, for each row of a matrix: the same numbers in another scale and zero point. x may be y.
/// @throws as quantize(), for either
void requantize(Matrix<const uint8_t> x, int64_t rows, int64_t columns, const AffineQParams& from, const AffineQParams& to,
                Matrix<uint8_t> y);
void requantize(Matrix<const int8_t> x, int64_t rows, int64_t columns, const AffineQParams& from, const AffineQParams& to,
                Matrix<int8_t> y);

/// How quantize_rows quantizes: one scale and zero point for all rows, or one for each.
struct RowsQParams {
  const float* scale = nullptr;         ///< [1], or [rows] if per_row
  const int32_t* zero_point = nullptr;  ///< likewise
  bool per_row = false;
  int32_t quant_min = 0;
  int32_t quant_max = 255;
};

/// Quantizes a matrix into the padded rows that gemm() reads; the bytes from `columns` to q.stride become zero.
/// @param q         [rows][q.stride], q.stride >= columns
/// @param row_sums  [rows]: the sum of each row's q, or null
/// @throws as quantize(), and for q.stride < columns
void quantize_rows(Matrix<const float> x, int64_t rows, int64_t columns, const RowsQParams& qparams, Matrix<uint8_t> q,
                   int32_t* row_sums = nullptr, ParallelFor parallel_for = serial_for);

/// `y[i] = table[x[i]]`: any unary function of 8-bit values. x and y may be the same.
/// @param table  [256]
void lookup_table(const uint8_t* x, int64_t n, const uint8_t* table, uint8_t* y, ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
