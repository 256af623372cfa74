#pragma once

#include "kernels/kernel_table.h"
#include "kernels/quantize_impl.h"
#include "kernels/simd_lanes.h"

namespace octet::kernels {

/// Quantizes `combine(a, b)` of the integers without their zero points.
template <class Simd, class Quantized, class Combine>
void quantize_pairs(const Quantized* a, const Quantized* b, int64_t n, const BinaryArgs& args, Quantized* out,
                    const Combine& combine) {
  const Quantizer<Simd> quantizer(args.out);
  const auto centered = [](const Quantized* q, int32_t zero_point, auto lanes) {
    return Simd::to_float(Simd::sub(Simd::load(q, lanes), Simd::set(zero_point)));
  };
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) {
    const auto y = combine(centered(a + i, args.a_zero_point, lanes), centered(b + i, args.b_zero_point, lanes));
    Simd::store_low_bytes(reinterpret_cast<uint8_t*>(out) + i, quantizer(y), lanes);
  });
}

template <class Simd, class Quantized>
void add_pairs(const Quantized* a, const Quantized* b, int64_t n, const BinaryArgs& args, Quantized* out) {
  using Float = typename Simd::Float;
  const Float a_multiplier = Simd::set(args.a_multiplier), b_multiplier = Simd::set(args.b_multiplier);
  quantize_pairs<Simd>(a, b, n, args, out,
                       [&](Float x, Float y) { return Simd::fma(x, a_multiplier, Simd::mul(y, b_multiplier)); });
}

template <class Simd, class Quantized>
void multiply_pairs(const Quantized* a, const Quantized* b, int64_t n, const BinaryArgs& args, Quantized* out) {
  using Float = typename Simd::Float;
  const Float multiplier = Simd::set(args.a_multiplier);
  quantize_pairs<Simd>(a, b, n, args, out, [&](Float x, Float y) { return Simd::mul(Simd::mul(x, y), multiplier); });
}

}  // namespace octet::kernels
