#pragma once

#include <octet/kernels/matrix.h>
#include <octet/kernels/quantize.h>

#include <cstdint>

namespace octet::kernels {

/// Quantized numbers, row by row, that stand for `(q - zero_point) * scale`. A stride of 0 repeats one row.
template <class Quantized>
struct Operand {
  Matrix<const Quantized> q;
  float scale = 1.0f;
  int32_t zero_point = 0;
};

// Arithmetic between quantized numbers: `out = clamp(nearbyint(y) + out_zero_point, quant_min, quant_max)`, in float32,
// halves to even. With inverse = 1.0f / out_scale and a, b the integers without their zero points,
//   add:       y = fma(a, a_scale * inverse, b * (b_scale * inverse))
//   multiply:  y = (a * b) * (a_scale * b_scale * inverse), multiplied from left to right
// To add a relu, raise quant_min to the zero point. `out` may be one of the operands. They run in the calling thread; who
// knows how the operands are laid out cuts the work.
// @throws std::invalid_argument as quantize() does, for the qparams of the output

void add(const Operand<uint8_t>& a, const Operand<uint8_t>& b, int64_t rows, int64_t columns, const AffineQParams& out_qparams,
         Matrix<uint8_t> out);
void add(const Operand<int8_t>& a, const Operand<int8_t>& b, int64_t rows, int64_t columns, const AffineQParams& out_qparams,
         Matrix<int8_t> out);

void multiply(const Operand<uint8_t>& a, const Operand<uint8_t>& b, int64_t rows, int64_t columns,
              const AffineQParams& out_qparams, Matrix<uint8_t> out);
void multiply(const Operand<int8_t>& a, const Operand<int8_t>& b, int64_t rows, int64_t columns,
              const AffineQParams& out_qparams, Matrix<int8_t> out);

}  // namespace octet::kernels
