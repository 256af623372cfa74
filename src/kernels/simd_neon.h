#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "kernels/simd_lanes.h"

namespace octet::kernels {

/// Four lanes of AArch64's NEON. See ScalarSimd for what the operations mean.
struct NeonSimd {
  static constexpr int64_t kLanes = 4;
  using Float = float32x4_t;
  using Int = int32x4_t;

  template <class Lanes>
  static Float load(const float* p, Lanes lanes) {
    return load_vector<Float>(p, lanes);
  }
  template <class Lanes>
  static Int load(const int32_t* p, Lanes lanes) {
    return load_vector<Int>(p, lanes);
  }
  template <class Lanes>
  static Int load(const uint8_t* p, Lanes lanes) {
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(load_bytes(p, lanes)))));
  }
  template <class Lanes>
  static Int load(const int8_t* p, Lanes lanes) {
    return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(load_bytes(p, lanes)))));
  }
  template <int kBits>
  static Int load_bits(const uint8_t* p) {
    uint32_t bits = 0;
    memcpy(&bits, p, kBits / 2);
    const int32x4_t shifts = {0, -kBits, -2 * kBits, -3 * kBits};
    return vreinterpretq_s32_u32(vandq_u32(vshlq_u32(vdupq_n_u32(bits), shifts), vdupq_n_u32((1 << kBits) - 1)));
  }
  template <class Lanes>
  static Int load_pairs(const int16_t* p, Lanes lanes) {
    return load_vector<Int>(p, lanes);
  }
  template <class Lanes>
  static Int load_pairs(const uint8_t* first, const uint8_t* second, Lanes lanes) {
    return widened(vzip1_u8(load_bytes(first, lanes), load_bytes(second, lanes)));
  }
  static void load_pairs_twice(const uint8_t* first, const uint8_t* second, Int& low, Int& high) {
    const uint8x8_t a = vld1_u8(first), b = vld1_u8(second);
    low = widened(vzip1_u8(a, b));
    high = widened(vzip2_u8(a, b));
  }
  template <class Lanes>
  static Float load_half(const uint16_t* p, Lanes lanes) {
    return vcvt_f32_f16(load_vector<float16x4_t>(p, lanes));
  }

  template <class Lanes>
  static void store(float* p, Float v, Lanes lanes) {
    store_vector(p, v, lanes);
  }
  template <class Lanes>
  static void store(int32_t* p, Int v, Lanes lanes) {
    store_vector(p, v, lanes);
  }
  template <class Lanes>
  static void store_low_bytes(uint8_t* p, Int v, Lanes lanes) {
    const uint32_t bytes = vget_lane_u32(vreinterpret_u32_u8(low_bytes(v, v)), 0);
    memcpy(p, &bytes, count<NeonSimd>(lanes));
  }
  static void store_low_bytes_twice(uint8_t* p, Int low, Int high) { vst1_u8(p, low_bytes(low, high)); }
  static void store_split(uint8_t* row, int64_t i, Int v) {
    const uint8x8_t low_then_high = {0, 4, 8, 12, 1, 5, 9, 13};
    vst1_u8(row + 2 * i, vqtbl1_u8(vreinterpretq_u8_s32(v), low_then_high));
  }
  template <class Lanes>
  static void store_half(uint16_t* p, Float v, Lanes lanes) {
    store_vector(p, vcvt_f16_f32(v), lanes);
  }

  static Float set(float v) { return vdupq_n_f32(v); }
  static Int set(int32_t v) { return vdupq_n_s32(v); }

  static Float add(Float a, Float b) { return vaddq_f32(a, b); }
  static Float sub(Float a, Float b) { return vsubq_f32(a, b); }
  static Float mul(Float a, Float b) { return vmulq_f32(a, b); }
  static Float div(Float a, Float b) { return vdivq_f32(a, b); }
  static Float fma(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }
  static Float negated_fma(Float a, Float b, Float c) { return vfmsq_f32(c, a, b); }
  // Not vminq_f32 and vmaxq_f32: those give NaN if one argument is NaN, and tell +0 from -0.
  static Float min(Float a, Float b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static Float max(Float a, Float b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static Float abs(Float a) { return vabsq_f32(a); }
  static Float copy_sign(Float magnitude, Float sign) { return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude); }
  static Float select_less(Float a, Float b, Float x, Float y) { return vbslq_f32(vcltq_f32(a, b), x, y); }
  static Float select_equal(Float a, Float b, Float x, Float y) { return vbslq_f32(vceqq_f32(a, b), x, y); }
  static Int round(Float a) { return vcvtnq_s32_f32(a); }
  static Float nearest(Float a) { return vrndnq_f32(a); }
  static Float to_float(Int a) { return vcvtq_f32_s32(a); }
  static Float power_of_two(Int a) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(a, vdupq_n_s32(127)), 23)); }

  static Int add(Int a, Int b) { return vaddq_s32(a, b); }
  static Int sub(Int a, Int b) { return vsubq_s32(a, b); }
  static Int mul(Int a, Int b) { return vmulq_s32(a, b); }
  static Int dot_pairs(Int a, Int b) {
    const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    return vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
  }
  static Int low_nibbles(Int a) { return vandq_s32(a, vdupq_n_s32(0x0f0f'0f0f)); }
  static Int high_nibbles(Int a) { return vreinterpretq_s32_u8(vshrq_n_u8(vreinterpretq_u8_s32(a), 4)); }
  static Int halved(Int a) { return vshrq_n_s32(a, 1); }

  static int32_t sum(Int a) { return vaddvq_s32(a); }
  static float lowest(Float a) { return vminvq_f32(a); }
  static float highest(Float a) { return vmaxvq_f32(a); }

  static Int is_nan(Float a) { return vreinterpretq_s32_u32(vmvnq_u32(vceqq_f32(a, a))); }
  static Int bit_or(Int a, Int b) { return vorrq_s32(a, b); }
  static bool any(Int a) { return vmaxvq_u32(vreinterpretq_u32_s32(a)) != 0; }
  static uint32_t equal_bits(Float a, Float b) { return vaddvq_u32(vandq_u32(vceqq_f32(a, b), bit_of_lane())); }
  static Float where_set(uint32_t bits, Float a) {
    const uint32x4_t set = vtstq_u32(vdupq_n_u32(bits), bit_of_lane());
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), set));
  }

  static float sum16(const Float (&parts)[4]) {
    const float32x4_t s4 = vaddq_f32(vaddq_f32(parts[0], parts[2]), vaddq_f32(parts[1], parts[3]));
    const float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));
    return vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
  }

  /// The low bytes of x are unsigned, the high ones signed.
  template <int Chains>
  struct Int4Sums {
    void add(const uint8_t* x, Int first_four, Int last_four) {
      low = vdotq_u32(low, vreinterpretq_u8_s32(first_four), vreinterpretq_u8_u32(four_bytes(x)));
      high = vdotq_s32(high, vreinterpretq_s8_s32(first_four), vreinterpretq_s8_u32(four_bytes(x + 4)));
      low = vdotq_u32(low, vreinterpretq_u8_s32(last_four), vreinterpretq_u8_u32(four_bytes(x + 8)));
      high = vdotq_s32(high, vreinterpretq_s8_s32(last_four), vreinterpretq_s8_u32(four_bytes(x + 12)));
    }
    Int total() const { return vaddq_s32(vreinterpretq_s32_u32(low), vshlq_n_s32(high, 8)); }

    static uint32x4_t four_bytes(const uint8_t* x) {
      uint32_t four;
      memcpy(&four, x, sizeof(four));
      return vdupq_n_u32(four);
    }

    uint32x4_t low = vdupq_n_u32(0);
    int32x4_t high = vdupq_n_s32(0);
  };

  /// TBL looks up in 64 entries and gives 0 for an index beyond them, where TBX keeps what was found before.
  struct ByteTable {
    static constexpr int64_t kBytes = 16;
    explicit ByteTable(const uint8_t* table) {
      for (int part = 0; part < 4; ++part) parts[part] = vld1q_u8_x4(table + 64 * part);
    }

    void look_up(const uint8_t* x, uint8_t* y) const {
      const uint8x16_t index = vld1q_u8(x);
      uint8x16_t found = vqtbl4q_u8(parts[0], index);
      found = vqtbx4q_u8(found, parts[1], vsubq_u8(index, vdupq_n_u8(64)));
      found = vqtbx4q_u8(found, parts[2], vsubq_u8(index, vdupq_n_u8(128)));
      found = vqtbx4q_u8(found, parts[3], vsubq_u8(index, vdupq_n_u8(192)));
      vst1q_u8(y, found);
    }

    uint8x16x4_t parts[4];
  };

 private:
  template <class Vector, class Lanes>
  static Vector load_vector(const void* p, Lanes lanes) {
    Vector v{};
    memcpy(&v, p, count<NeonSimd>(lanes) * (sizeof(v) / kLanes));
    return v;
  }
  template <class Vector, class Lanes>
  static void store_vector(void* p, Vector v, Lanes lanes) {
    memcpy(p, &v, count<NeonSimd>(lanes) * (sizeof(v) / kLanes));
  }

  /// A byte for each lane, and zeros.
  template <class Lanes>
  static uint8x8_t load_bytes(const void* p, Lanes lanes) {
    uint32_t bytes = 0;
    memcpy(&bytes, p, count<NeonSimd>(lanes));
    return vcreate_u8(bytes);
  }

  static Int widened(uint8x8_t bytes) { return vreinterpretq_s32_u16(vmovl_u8(bytes)); }
  static uint8x8_t low_bytes(Int low, Int high) {
    const uint16x8_t words = vuzp1q_u16(vreinterpretq_u16_s32(low), vreinterpretq_u16_s32(high));
    return vmovn_u16(words);
  }

  static uint32x4_t bit_of_lane() {
    const uint32x4_t bits = {1, 2, 4, 8};
    return bits;
  }
};

}  // namespace octet::kernels
