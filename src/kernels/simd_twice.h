#pragma once

#include <cstdint>

#include "kernels/simd_lanes.h"

namespace octet::kernels {

/// Two vectors as one, for kernels that end in bytes: a vector's worth of bytes is loaded and stored faster than a part of one.
/// It has the operations of ScalarSimd that such kernels need.
template <class Simd>
struct Twice {
  static constexpr int64_t kLanes = 2 * Simd::kLanes;
  struct Float {
    typename Simd::Float low, high;
  };
  struct Int {
    typename Simd::Int low, high;
  };

  static Float load(const float* p, AllLanes all) { return {Simd::load(p, all), Simd::load(p + Simd::kLanes, all)}; }
  static Int load(const int32_t* p, AllLanes all) { return {Simd::load(p, all), Simd::load(p + Simd::kLanes, all)}; }
  static Int load(const int8_t* p, AllLanes all) { return {Simd::load(p, all), Simd::load(p + Simd::kLanes, all)}; }
  static Int load(const uint8_t* p, AllLanes all) { return {Simd::load(p, all), Simd::load(p + Simd::kLanes, all)}; }
  static Int load_pairs(const int16_t* p, AllLanes all) {
    return {Simd::load_pairs(p, all), Simd::load_pairs(p + 2 * Simd::kLanes, all)};
  }
  static Int load_pairs(const uint8_t* first, const uint8_t* second, AllLanes) {
    Int pairs;
    Simd::load_pairs_twice(first, second, pairs.low, pairs.high);
    return pairs;
  }
  static void store(float* p, Float v, AllLanes all) {
    Simd::store(p, v.low, all);
    Simd::store(p + Simd::kLanes, v.high, all);
  }
  static void store_low_bytes(uint8_t* p, Int v, AllLanes) { Simd::store_low_bytes_twice(p, v.low, v.high); }

  static Float set(float v) { return {Simd::set(v), Simd::set(v)}; }
  static Int set(int32_t v) { return {Simd::set(v), Simd::set(v)}; }

  static Float mul(Float a, Float b) { return {Simd::mul(a.low, b.low), Simd::mul(a.high, b.high)}; }
  static Float fma(Float a, Float b, Float c) { return {Simd::fma(a.low, b.low, c.low), Simd::fma(a.high, b.high, c.high)}; }
  static Float min(Float a, Float b) { return {Simd::min(a.low, b.low), Simd::min(a.high, b.high)}; }
  static Float max(Float a, Float b) { return {Simd::max(a.low, b.low), Simd::max(a.high, b.high)}; }
  static Int round(Float a) { return {Simd::round(a.low), Simd::round(a.high)}; }
  static Float to_float(Int a) { return {Simd::to_float(a.low), Simd::to_float(a.high)}; }

  static Int add(Int a, Int b) { return {Simd::add(a.low, b.low), Simd::add(a.high, b.high)}; }
  static Int sub(Int a, Int b) { return {Simd::sub(a.low, b.low), Simd::sub(a.high, b.high)}; }
  static Int mul(Int a, Int b) { return {Simd::mul(a.low, b.low), Simd::mul(a.high, b.high)}; }
  static Int dot_pairs(Int a, Int b) { return {Simd::dot_pairs(a.low, b.low), Simd::dot_pairs(a.high, b.high)}; }
};

/// Calls `body(simd, i, lanes)` for each part of a range of n elements: double vectors as long as they fit, then the rest as
/// for_each_vector does.
template <class Simd, class Body>
void for_each_double_vector(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + Twice<Simd>::kLanes <= n; i += Twice<Simd>::kLanes) body(Twice<Simd>{}, i, AllLanes{});
  for_each_vector<Simd>(n - i, [&](int64_t j, auto lanes) { body(Simd{}, i + j, lanes); });
}

}  // namespace octet::kernels
