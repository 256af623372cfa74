#pragma once

#include <octet/kernels/half.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/simd_lanes.h"

namespace octet::kernels {

/// A vector of one lane: in plain C++, what the operations of every Simd type mean. Integers wrap around.
struct ScalarSimd {
  static constexpr int64_t kLanes = 1;
  using Float = float;
  using Int = int32_t;

  static Float load(const float* p, AllLanes) { return *p; }
  static Int load(const int32_t* p, AllLanes) { return *p; }
  static Int load(const uint8_t* p, AllLanes) { return *p; }
  static Int load(const int8_t* p, AllLanes) { return *p; }
  /// A pair of 16-bit integers in each lane, the first in the lower half.
  static Int load_pairs(const int16_t* p, AllLanes) { return pair(p[0], p[1]); }
  static Int load_pairs(const uint8_t* first, const uint8_t* second, AllLanes) { return pair(*first, *second); }
  /// Two vectors of pairs that lie side by side.
  static void load_pairs_twice(const uint8_t* first, const uint8_t* second, Int& low, Int& high) {
    low = pair(first[0], second[0]);
    high = pair(first[1], second[1]);
  }
  static Float load_half(const uint16_t* p, AllLanes) { return half_to_float(*p); }
  static void store(float* p, Float v, AllLanes) { *p = v; }
  static void store(int32_t* p, Int v, AllLanes) { *p = v; }
  static void store_low_bytes(uint8_t* p, Int v, AllLanes) { *p = static_cast<uint8_t>(v); }
  static void store_low_bytes_twice(uint8_t* p, Int low, Int high) {
    p[0] = static_cast<uint8_t>(low);
    p[1] = static_cast<uint8_t>(high);
  }
  /// Stores 16-bit integers as number i and on of a row: of each four first their low bytes, then their high ones.
  static void store_split(uint8_t* row, int64_t i, Int v) {
    uint8_t* const low = row + i / 4 * 8 + i % 4;
    low[0] = static_cast<uint8_t>(v);
    low[4] = static_cast<uint8_t>(v >> 8);
  }
  static void store_half(uint16_t* p, Float v, AllLanes) { *p = float_to_half(v); }

  static Float set(float v) { return v; }
  static Int set(int32_t v) { return v; }

  static Float add(Float a, Float b) { return a + b; }
  static Float sub(Float a, Float b) { return a - b; }
  static Float mul(Float a, Float b) { return a * b; }
  static Float div(Float a, Float b) { return a / b; }
  /// a * b + c, rounded once.
  static Float fma(Float a, Float b, Float c) { return std::fma(a, b, c); }
  /// -(a * b) + c, rounded once.
  static Float negated_fma(Float a, Float b, Float c) { return std::fma(-a, b, c); }
  /// If a or b is NaN, or both are zeros, these give b.
  static Float min(Float a, Float b) { return a < b ? a : b; }
  static Float max(Float a, Float b) { return a > b ? a : b; }
  static Float abs(Float a) { return std::fabs(a); }
  static Float copy_sign(Float magnitude, Float sign) { return std::copysign(magnitude, sign); }
  /// a < b ? x : y
  static Float select_less(Float a, Float b, Float x, Float y) { return a < b ? x : y; }
  /// a == b ? x : y
  static Float select_equal(Float a, Float b, Float x, Float y) { return a == b ? x : y; }
  /// Half to even; |a| < 2^31.
  static Int round(Float a) { return static_cast<int32_t>(std::nearbyint(a)); }
  /// Half to even, as a float: of any magnitude, with the sign of a.
  static Float nearest(Float a) { return std::nearbyint(a); }
  static Float to_float(Int a) { return static_cast<float>(a); }
  /// 2^a for -126 <= a <= 127.
  static Float power_of_two(Int a) { return std::bit_cast<float>((a + 127) << 23); }

  static Int add(Int a, Int b) { return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b)); }
  static Int sub(Int a, Int b) { return static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b)); }
  static Int mul(Int a, Int b) { return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b)); }
  /// For each lane the sum of the products of two pairs of 16-bit integers.
  static Int dot_pairs(Int a, Int b) { return static_cast<int16_t>(a) * static_cast<int16_t>(b) + (a >> 16) * (b >> 16); }
  /// The lower and the upper half of each byte, as bytes.
  static Int low_nibbles(Int a) { return a & 0x0f0f0f0f; }
  static Int high_nibbles(Int a) { return a >> 4 & 0x0f0f0f0f; }
  /// floor(a / 2)
  static Int halved(Int a) { return a >> 1; }

  static int32_t sum(Int a) { return a; }
  static float lowest(Float a) { return a; }
  static float highest(Float a) { return a; }

  /// All bits set in lanes where a is NaN.
  static Int is_nan(Float a) { return a != a ? -1 : 0; }
  static Int bit_or(Int a, Int b) { return a | b; }
  static bool any(Int a) { return a != 0; }
  /// A bit for each lane, the first lane's the lowest: whether a equals b. NaN equals nothing.
  static uint32_t equal_bits(Float a, Float b) { return a == b ? 1 : 0; }
  /// a in the lanes whose bit is set, +0 in the others.
  static Float where_set(uint32_t bits, Float a) { return bits & 1 ? a : 0.0f; }

  /// Sum of 16 floats that lie in consecutive vectors: l and l + 8 first, then l and l + 4, + 2, + 1.
  static float sum16(const Float (&parts)[16]) {
    float s[8];
    for (int l = 0; l < 8; ++l) s[l] = parts[l] + parts[l + 8];
    for (int width = 4; width; width /= 2) {
      for (int l = 0; l < width; ++l) s[l] += s[l + width];
    }
    return s[0];
  }

  /// For each lane the sum of products of 16-bit integers and bytes 0 .. 15, eight at a time. Exact as long as int32 holds it.
  /// Chains: 1, or 2 where the sums of few rows would wait for each other's additions; both give the same.
  template <int Chains>
  struct Int4Sums {
    /// @param x  as store_split stores them; the same for all lanes
    void add(const uint8_t* x, Int first_four, Int last_four) {
      for (int i = 0; i < 4; ++i) {
        sum += (x[i] | static_cast<int8_t>(x[i + 4]) * 256) * (first_four >> 8 * i & 15);
        sum += (x[i + 8] | static_cast<int8_t>(x[i + 12]) * 256) * (last_four >> 8 * i & 15);
      }
    }
    Int total() const { return sum; }

    Int sum = 0;
  };

  /// A table of 256 bytes, and how many are looked up in it at a time.
  struct ByteTable {
    static constexpr int64_t kBytes = 1;
    explicit ByteTable(const uint8_t* table) : entries(table) {}
    void look_up(const uint8_t* x, uint8_t* y) const { *y = entries[*x]; }

    const uint8_t* entries;
  };

 private:
  static Int pair(int32_t first, int32_t second) { return second << 16 | (first & 0xffff); }
};

}  // namespace octet::kernels
