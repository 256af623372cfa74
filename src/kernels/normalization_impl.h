#pragma once

#include "kernels/kernel_table.h"
#include "kernels/quantize_impl.h"
#include "kernels/simd_lanes.h"

namespace octet::kernels {

template <class Simd, class Quantized>
void integer_sums(const Quantized* q, int64_t n, IntegerSums* sums) {
  constexpr int64_t kBlock = 32'768;  // the squares of so many, 255 * 255 at most, fit int32 together
  *sums = {0, 0};
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    auto sum = Simd::set(0), sum_of_squares = Simd::set(0);
    for_each_vector<Simd>(n - begin < kBlock ? n - begin : kBlock, [&](int64_t i, auto lanes) {
      const auto v = Simd::load(q + begin + i, lanes);
      sum = Simd::add(sum, v);
      sum_of_squares = Simd::add(sum_of_squares, Simd::mul(v, v));
    });
    sums->sum += Simd::sum(sum);
    sums->sum_of_squares += Simd::sum(sum_of_squares);
  }
}

template <class Simd, class Quantized>
void normalize(const Quantized* q, int64_t n, const NormalizeArgs& args, Quantized* out) {
  const Quantizer<Simd> quantizer(args.out);
  const auto center = Simd::set(args.center);
  const auto scale = Simd::set(args.scale), shift = Simd::set(args.shift), inverse_scale = Simd::set(args.out.inverse_scale);
  const auto with_terms = [&](const auto& term) {
    for_each_vector<Simd>(n, [&](int64_t i, auto lanes) {
      const auto x = Simd::fma(Simd::to_float(Simd::sub(Simd::load(q + i, lanes), center)), scale, shift);
      const auto y = Simd::fma(x, term(args.weight, i, lanes), term(args.bias, i, lanes));
      Simd::store_low_bytes(reinterpret_cast<uint8_t*>(out) + i, quantizer(Simd::mul(y, inverse_scale)), lanes);
    });
  };
  if (args.one_channel) {
    with_terms([](const float* value, int64_t, auto) { return Simd::set(*value); });
  } else {
    with_terms([](const float* values, int64_t i, auto lanes) { return Simd::load(values + i, lanes); });
  }
}

}  // namespace octet::kernels
