#pragma once

#include "kernels/kernel_table.h"
#include "kernels/quantize_impl.h"

namespace octet::kernels {

/// Quantizes `combine(part, args, a, b)` of the integers without their zero points; `part` has the operations of these vectors.
/// The arguments are a copy, which the output can't alias.
template <class Simd, class Quantized, class Combine>
void quantize_pairs(const Quantized* a, const Quantized* b, int64_t n, BinaryArgs args, Quantized* out, const Combine& combine) {
  quantize_values<Simd>(n, args.out, reinterpret_cast<uint8_t*>(out), [&]<class Part>(Part part, int64_t i, auto lanes) {
    const auto centered = [&](const Quantized* q, int32_t zero_point) {
      return Part::to_float(Part::sub(Part::load(q + i, lanes), Part::set(zero_point)));
    };
    return combine(part, args, centered(a, args.a_zero_point), centered(b, args.b_zero_point));
  });
}

template <class Simd, class Quantized>
void add_pairs(const Quantized* a, const Quantized* b, int64_t n, const BinaryArgs& args, Quantized* out) {
  quantize_pairs<Simd>(a, b, n, args, out,
                       []<class Part>(Part, const BinaryArgs& with, typename Part::Float x, typename Part::Float y) {
                         return Part::fma(x, Part::set(with.a_multiplier), Part::mul(y, Part::set(with.b_multiplier)));
                       });
}

template <class Simd, class Quantized>
void multiply_pairs(const Quantized* a, const Quantized* b, int64_t n, const BinaryArgs& args, Quantized* out) {
  quantize_pairs<Simd>(a, b, n, args, out,
                       []<class Part>(Part, const BinaryArgs& with, typename Part::Float x, typename Part::Float y) {
                         return Part::mul(Part::mul(x, y), Part::set(with.a_multiplier));
                       });
}

}  // namespace octet::kernels
