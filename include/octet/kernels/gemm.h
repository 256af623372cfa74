#pragma once

#include <octet/kernels/matrix.h>
#include <octet/kernels/packed_weight.h>
#include <octet/kernels/parallel.h>
#include <octet/kernels/quantize.h>

#include <cstdint>
#include <limits>

namespace octet::kernels {

/// Quantized activations, [rows][k], that stand for `(q - zero_point) * scale`.
///
/// A kernel reads `PackedWeight::padded_k()` bytes of each row, so `stride` must be at least that and the last row must
/// be as long as the others. What the bytes from k on hold does not matter (the packed weights are zero there). Signed
/// activations: store `q ^ 0x80` (which is q + 128 as u8) and add 128 to the zero point; the sums are the same.
struct QuantizedActivations {
  Matrix<const uint8_t> q;
  int64_t rows = 0;
  const float* scale = nullptr;         ///< [1], or [rows] if per_row; int32 output does not need it
  const int32_t* zero_point = nullptr;  ///< likewise; 0 .. 255
  bool per_row = false;
  /// The sum of each row's q over k, as quantize_rows gives them. Only weights with zero points need them, and they are
  /// computed where absent.
  const int32_t* row_sums = nullptr;
};

/// What the integers of a PackedWeight stand for: `(q - zero_point) * scale`.
struct WeightQParams {
  const float* scale = nullptr;  ///< [1], or [n] if per_channel; int32 output does not need it
  bool per_channel = false;
  const int32_t* zero_point = nullptr;  ///< null (all are zero, symmetric weights), or [1] or [n] as scale; -128 .. 127
};

/// Quantized numbers that are added to a result before its relu, row by row as the result itself: a residual connection.
struct Residual {
  Matrix<const uint8_t> q;  ///< [rows][n]; signed ones: `q ^ 0x80`, with 128 added to the zero point
  float scale = 1.0f;
  int32_t zero_point = 0;  ///< 0 .. 255
};

/// What happens to a sum on its way out.
struct Epilogue {
  const float* bias = nullptr;  ///< [n], or null for zeros
  bool relu = false;
  const Residual* residual = nullptr;  ///< with requantized output only
  /// Larger results become this, 6 for relu6; must be positive.
  float upper_bound = std::numeric_limits<float>::infinity();
};

/// Linear layer: `out[r][c] = fma(float(sum), scale_r * weight_scale_c, bias_c)`, in float32, where
/// `sum = Σ_k (q[r][k] - zero_point_r) * (w[c][k] - weight_zero_point_c)` is exact, float(sum) rounds to nearest even,
/// and the fma rounds once. With relu, negative results become zero; NaN stays, and with an
/// upper bound, too. Results do not depend on the ISA, the
/// number of threads, or (with per_row) on what other rows there are.
/// @param out  [rows][n]; must not overlap the inputs
/// @throws std::invalid_argument for a stride that is too short, a zero point out of range, missing scales, and
///         k > kMaxAffineDepth with weight zero points
void gemm(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& weight_qparams,
          const Epilogue& epilogue, Matrix<float> out, ParallelFor parallel_for = serial_for);

/// The same with requantized output, `clamp(nearbyint(y) + out_zero_point, quant_min, quant_max)` of
///   y = fma(float(sum), scale_r * weight_scale_c * (1.0f / out_scale), bias_c * (1.0f / out_scale)),
/// multiplied from left to right in float32, halves to even; a residual makes it
///   y = fma(float(q - zero_point), residual_scale * (1.0f / out_scale), y).
/// relu raises quant_min to the zero point, and an upper bound lowers quant_max to what quantize() makes of it.
/// @throws std::invalid_argument also for a scale that is not positive, and for a range or zero point beyond the output's type
void gemm(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& weight_qparams,
          const Epilogue& epilogue, const AffineQParams& out_qparams, Matrix<uint8_t> out, ParallelFor parallel_for = serial_for);
void gemm(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& weight_qparams,
          const Epilogue& epilogue, const AffineQParams& out_qparams, Matrix<int8_t> out, ParallelFor parallel_for = serial_for);

/// The exact sums of gemm(). Scales are not used. @throws as gemm()
void gemm_int32(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& weight_qparams,
                Matrix<int32_t> out, ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
