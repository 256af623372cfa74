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

/// Element i goes to the i % 16th of the partial sums. A rest is filled up with zeros, which add nothing.
template <class Simd>
LearnableSums fake_quantize_learnable_backward(const float* x, const float* grad_out, int64_t n, const FakeQuantizeArgs& args,
                                               float* grad_in) {
  constexpr int64_t kBlock = 16, kVectors = kBlock / Simd::kLanes;
  const auto inverse_scale = Simd::set(args.inverse_scale), low = Simd::set(args.low), high = Simd::set(args.high);
  const auto zero = Simd::set(0.0f);
  typename Simd::Float scale_sums[kVectors], clamped_sums[kVectors];
  for (int64_t v = 0; v < kVectors; ++v) scale_sums[v] = clamped_sums[v] = zero;
  const auto add_block = [&](const float* x, const float* grad_out, float* grad_in) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int64_t v = 0; v < kVectors; ++v) {
      const auto gradient = Simd::load(grad_out + v * Simd::kLanes, AllLanes{});
      const auto steps = Simd::mul(Simd::load(x + v * Simd::kLanes, AllLanes{}), inverse_scale);
      const auto rounded = Simd::nearest(steps);
      const auto clamped = Simd::min(Simd::max(rounded, low), high);
      const auto by_scale = Simd::sub(clamped, Simd::select_equal(rounded, clamped, steps, zero));
      scale_sums[v] = Simd::fma(gradient, by_scale, scale_sums[v]);
      clamped_sums[v] = Simd::add(clamped_sums[v], Simd::select_equal(rounded, clamped, zero, gradient));
      Simd::store(grad_in + v * Simd::kLanes, Simd::select_equal(rounded, clamped, gradient, zero), AllLanes{});
    }
  };
  const int64_t whole = n / kBlock * kBlock;
  for (int64_t i = 0; i < whole; i += kBlock) add_block(x + i, grad_out + i, grad_in + i);
  if (whole < n) {
    float rest_x[kBlock] = {}, rest_gradient[kBlock] = {};
    for (int64_t i = whole; i < n; ++i) {
      rest_x[i - whole] = x[i];
      rest_gradient[i - whole] = grad_out[i];
    }
    add_block(rest_x, rest_gradient, rest_gradient);
    for (int64_t i = whole; i < n; ++i) grad_in[i] = rest_gradient[i - whole];
  }
  return {Simd::sum16(scale_sums), Simd::sum16(clamped_sums)};
}

template <class Simd>
void keep_where_set(const float* x, const uint8_t* mask, int64_t n, float* out) {
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) {
    Simd::store(out + i, Simd::where_set(uint32_t{mask[i / 8]} >> (i % 8), Simd::load(x + i, lanes)), lanes);
  });
}

}  // namespace octet::kernels
