#pragma once

#include "kernels/kernel_table.h"
#include "kernels/simd_lanes.h"

// Sums of floats in one order for every ISA: partial sum l = 0 .. 15 takes the elements l, l + 16, ..., then Simd::sum16.

namespace octet::kernels {

/// @param term  (i, lanes): the numbers of a vector, zeros in lanes left out; `add(sum, numbers)` adds them
template <class Simd, class Term, class Add>
[[gnu::always_inline]] inline float sum_in_16_parts(int64_t n, const Term& term, const Add& add) {
  constexpr int64_t kParts = 16 / Simd::kLanes;
  typename Simd::Float parts[kParts];
#pragma GCC unroll 16
  for (int64_t p = 0; p < kParts; ++p) parts[p] = Simd::set(0.0f);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
#pragma GCC unroll 16
    for (int64_t p = 0; p < kParts; ++p) parts[p] = add(parts[p], term(i + p * Simd::kLanes, AllLanes{}));
  }
#pragma GCC unroll 16
  for (int64_t p = 0; p < kParts; ++p) {
    const int64_t begin = i + p * Simd::kLanes;
    if (begin + Simd::kLanes <= n) {
      parts[p] = add(parts[p], term(begin, AllLanes{}));
    } else if constexpr (Simd::kLanes > 1) {
      if (begin < n) parts[p] = add(parts[p], term(begin, FirstLanes{n - begin}));
    }
  }
  return Simd::sum16(parts);
}

template <class Simd>
float add_and_sum(const float* x, const float* residual, int64_t n, float* out) {
  const auto keep = [&](int64_t i, typename Simd::Float numbers, auto lanes) {
    Simd::store(out + i, numbers, lanes);
    return numbers;
  };
  const auto add = [](auto sum, auto numbers) { return Simd::add(sum, numbers); };
  if (!residual) {
    return sum_in_16_parts<Simd>(n, [&](int64_t i, auto lanes) { return keep(i, Simd::load(x + i, lanes), lanes); }, add);
  }
  return sum_in_16_parts<Simd>(
      n,
      [&](int64_t i, auto lanes) { return keep(i, Simd::add(Simd::load(x + i, lanes), Simd::load(residual + i, lanes)), lanes); },
      add);
}

/// x - mean, and zeros in lanes left out.
template <class Simd>
struct Differences {
  const float* x;
  float mean;

  typename Simd::Float operator()(int64_t i, AllLanes all) const { return Simd::sub(Simd::load(x + i, all), Simd::set(mean)); }
  typename Simd::Float operator()(int64_t i, FirstLanes lanes) const {
    float numbers[Simd::kLanes] = {};
    Simd::store(numbers, Simd::sub(Simd::load(x + i, lanes), Simd::set(mean)), lanes);
    return Simd::load(numbers, AllLanes{});
  }
};

template <class Simd>
float sum_of_squares(const float* x, int64_t n, float mean) {
  return sum_in_16_parts<Simd>(n, Differences<Simd>{x, mean}, [](auto sum, auto d) { return Simd::fma(d, d, sum); });
}

template <class Simd>
void normalize_floats(float* x, int64_t n, float mean, float multiplier, const float* weight, const float* bias) {
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) {
    const auto normalized = Simd::mul(Simd::sub(Simd::load(x + i, lanes), Simd::set(mean)), Simd::set(multiplier));
    Simd::store(x + i, Simd::fma(normalized, Simd::load(weight + i, lanes), Simd::load(bias + i, lanes)), lanes);
  });
}

}  // namespace octet::kernels
