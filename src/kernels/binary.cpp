#include <octet/kernels/binary.h>

#include "kernels/kernel_table.h"
#include "kernels/quantize_args.h"

namespace octet::kernels {
namespace {

template <class Quantized>
using PairsKernel = void (*)(const Quantized* a, const Quantized* b, int64_t n, const BinaryArgs& args, Quantized* out);

template <class Quantized>
void run(PairsKernel<Quantized> kernel, const Operand<Quantized>& a, const Operand<Quantized>& b, int64_t rows, int64_t columns,
         const BinaryArgs& args, Matrix<Quantized> out) {
  for (int64_t row = 0; row < rows; ++row) kernel(a.q.row(row), b.q.row(row), columns, args, out.row(row));
}

template <class Quantized>
BinaryArgs sum_args(const Operand<Quantized>& a, const Operand<Quantized>& b, const AffineQParams& out_qparams) {
  const QuantizeArgs out = quantize_args<Quantized>(out_qparams, "add");
  return {a.scale * out.inverse_scale, b.scale * out.inverse_scale, a.zero_point, b.zero_point, out};
}

template <class Quantized>
BinaryArgs product_args(const Operand<Quantized>& a, const Operand<Quantized>& b, const AffineQParams& out_qparams) {
  const QuantizeArgs out = quantize_args<Quantized>(out_qparams, "multiply");
  return {a.scale * b.scale * out.inverse_scale, 0.0f, a.zero_point, b.zero_point, out};
}

}  // namespace

void add(const Operand<uint8_t>& a, const Operand<uint8_t>& b, int64_t rows, int64_t columns, const AffineQParams& out_qparams,
         Matrix<uint8_t> out) {
  run(kernels().add_u8, a, b, rows, columns, sum_args(a, b, out_qparams), out);
}

void add(const Operand<int8_t>& a, const Operand<int8_t>& b, int64_t rows, int64_t columns, const AffineQParams& out_qparams,
         Matrix<int8_t> out) {
  run(kernels().add_s8, a, b, rows, columns, sum_args(a, b, out_qparams), out);
}

void multiply(const Operand<uint8_t>& a, const Operand<uint8_t>& b, int64_t rows, int64_t columns,
              const AffineQParams& out_qparams, Matrix<uint8_t> out) {
  run(kernels().multiply_u8, a, b, rows, columns, product_args(a, b, out_qparams), out);
}

void multiply(const Operand<int8_t>& a, const Operand<int8_t>& b, int64_t rows, int64_t columns, const AffineQParams& out_qparams,
              Matrix<int8_t> out) {
  run(kernels().multiply_s8, a, b, rows, columns, product_args(a, b, out_qparams), out);
}

}  // namespace octet::kernels
