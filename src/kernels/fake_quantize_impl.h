#pragma once

#include "kernels/kernel_table.h"
#include "kernels/simd_lanes.h"

namespace octet::kernels {

/// What the lanes take part in as a number of bits, the first lane being the lowest.
template <class Simd>
constexpr uint32_t lane_bits(AllLanes) {
  return (1u << Simd::kLanes) - 1;
}
template <class Simd>
constexpr uint32_t lane_bits(FirstLanes lanes) {
  return (1u << lanes.count) - 1;
}

/// Rounds first and clamps then: what the clamping changes is what the mask leaves out. A zero becomes +0, as an integer's is.
template <class Simd, bool kWithMask>
void fake_quantize(const float* x, int64_t n, const FakeQuantizeArgs& args, float* out, uint8_t* mask) {
  static_assert(8 % Simd::kLanes == 0);
  const auto inverse_scale = Simd::set(args.inverse_scale), scale = Simd::set(args.scale);
  const auto low = Simd::set(args.low), high = Simd::set(args.high), zero = Simd::set(0.0f);
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) {
    const auto rounded = Simd::nearest(Simd::mul(Simd::load(x + i, lanes), inverse_scale));
    const auto clamped = Simd::min(Simd::max(rounded, low), high);  // NaN becomes low
    Simd::store(out + i, Simd::mul(Simd::add(clamped, zero), scale), lanes);
    if constexpr (kWithMask) {
      const uint32_t bits = Simd::equal_bits(rounded, clamped) & lane_bits<Simd>(lanes);
      const bool starts_byte = Simd::kLanes == 8 || i % 8 == 0;
      mask[i / 8] = static_cast<uint8_t>(starts_byte ? bits : mask[i / 8] | bits << (i % 8));
    }
  });
}

template <class Simd>
void keep_where_set(const float* x, const uint8_t* mask, int64_t n, float* out) {
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) {
    Simd::store(out + i, Simd::where_set(uint32_t{mask[i / 8]} >> (i % 8), Simd::load(x + i, lanes)), lanes);
  });
}

}  // namespace octet::kernels
