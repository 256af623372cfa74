#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/simd_lanes.h"

namespace octet::kernels {

/// Sixteen lanes of AVX-512 with VNNI: of the operations of ScalarSimd those that int4_accumulate, depthwise, the GEMM's
/// epilogues and arithmetic between quantized tensors need.
struct Avx512VnniSimd {
  static constexpr int64_t kLanes = 16;
  using Float = __m512;
  using Int = __m512i;

  static Float load(const float* p, AllLanes) { return _mm512_loadu_ps(p); }
  static Float load(const float* p, FirstLanes lanes) { return _mm512_maskz_loadu_ps(mask(lanes), p); }
  static Int load(const int32_t* p, AllLanes) { return _mm512_loadu_si512(p); }
  static Int load(const int32_t* p, FirstLanes lanes) { return _mm512_maskz_loadu_epi32(mask(lanes), p); }
  template <class Lanes>
  static Int load(const uint8_t* p, Lanes lanes) {
    return _mm512_cvtepu8_epi32(load_bytes(p, lanes));
  }
  template <class Lanes>
  static Int load(const int8_t* p, Lanes lanes) {
    return _mm512_cvtepi8_epi32(load_bytes(reinterpret_cast<const uint8_t*>(p), lanes));
  }
  static Int load_pairs(const int16_t* p, AllLanes) { return _mm512_loadu_si512(p); }
  static Int load_pairs(const int16_t* p, FirstLanes lanes) { return _mm512_maskz_loadu_epi32(mask(lanes), p); }
  template <class Lanes>
  static Int load_pairs(const uint8_t* first, const uint8_t* second, Lanes lanes) {
    const __m128i a = load_bytes(first, lanes), b = load_bytes(second, lanes);
    return _mm512_cvtepu8_epi16(_mm256_set_m128i(_mm_unpackhi_epi8(a, b), _mm_unpacklo_epi8(a, b)));
  }
  static void load_pairs_twice(const uint8_t* first, const uint8_t* second, Int& low, Int& high) {
    low = load_pairs(first, second, AllLanes{});
    high = load_pairs(first + kLanes, second + kLanes, AllLanes{});
  }

  static void store(float* p, Float v, AllLanes) { _mm512_storeu_ps(p, v); }
  static void store(float* p, Float v, FirstLanes lanes) { _mm512_mask_storeu_ps(p, mask(lanes), v); }
  static void store(int32_t* p, Int v, AllLanes) { _mm512_storeu_si512(p, v); }
  static void store(int32_t* p, Int v, FirstLanes lanes) { _mm512_mask_storeu_epi32(p, mask(lanes), v); }
  static void store_low_bytes(uint8_t* p, Int v, AllLanes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
  }
  static void store_low_bytes(uint8_t* p, Int v, FirstLanes lanes) {
    _mm_mask_storeu_epi8(p, mask(lanes), _mm512_cvtepi32_epi8(v));
  }
  static void store_low_bytes_twice(uint8_t* p, Int low, Int high) {
    store_low_bytes(p, low, AllLanes{});
    store_low_bytes(p + kLanes, high, AllLanes{});
  }

  using Bytes = __m512i;
  /// `clamp(v + zero_point, 0, 255)` of four vectors, one after the other.
  static Bytes saturated_bytes(Int a, Int b, Int c, Int d, Int zero_point) {
    const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero_point);
    const __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero_point);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(first, second));
  }
  static Int set_words(int16_t v) { return _mm512_set1_epi16(v); }
  static Bytes set_bytes(uint8_t v) { return _mm512_set1_epi8(static_cast<char>(v)); }
  static Bytes max_bytes(Bytes a, Bytes b) { return _mm512_max_epu8(a, b); }
  static Bytes exclusive_or(Bytes a, Bytes b) { return _mm512_xor_si512(a, b); }
  static void store_all_bytes(uint8_t* p, Bytes v) { _mm512_storeu_si512(p, v); }
  /// Stores the first n bytes of those that kVectors vectors became, kFirst the first of them.
  template <int kFirst, int kVectors>
  static void store_bytes(uint8_t* p, Bytes v, int64_t n) {
    const __mmask32 mask = static_cast<__mmask32>((uint64_t{1} << n) - 1);
    if constexpr (kVectors == 2) {
      const __m256i part = _mm512_extracti64x4_epi64(v, kFirst / 2);
      if (n == 2 * kLanes) return _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), part);
      _mm256_mask_storeu_epi8(p, mask, part);
    } else {
      const __m128i part = _mm512_extracti32x4_epi32(v, kFirst);
      if (n == kLanes) return _mm_storeu_si128(reinterpret_cast<__m128i*>(p), part);
      _mm_mask_storeu_epi8(p, static_cast<__mmask16>(mask), part);
    }
  }

  static Float set(float v) { return _mm512_set1_ps(v); }
  static Int set(int32_t v) { return _mm512_set1_epi32(v); }

  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm512_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float negated_fma(Float a, Float b, Float c) { return _mm512_fnmadd_ps(a, b, c); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Int round(Float a) { return _mm512_cvtps_epi32(a); }
  static Float to_float(Int a) { return _mm512_cvtepi32_ps(a); }
  static Float power_of_two(Int a) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(a, _mm512_set1_epi32(127)), 23));
  }
  static Int add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int sub(Int a, Int b) { return _mm512_sub_epi32(a, b); }
  static Int mul(Int a, Int b) { return _mm512_mullo_epi32(a, b); }
  static Int dot_pairs(Int a, Int b) { return _mm512_madd_epi16(a, b); }
  static Int halved(Int a) { return _mm512_srai_epi32(a, 1); }
  static Int low_nibbles(Int a) { return _mm512_and_si512(a, _mm512_set1_epi8(0x0f)); }
  static Int high_nibbles(Int a) { return low_nibbles(_mm512_srli_epi16(a, 4)); }

  template <int Chains>
  struct Int4Sums {
    void add(const uint8_t* x, Int first_four, Int last_four) {
      low[0] = _mm512_dpbusd_epi32(low[0], four_bytes(x), first_four);
      high[0] = _mm512_dpbusd_epi32(high[0], first_four, four_bytes(x + 4));
      low[Chains - 1] = _mm512_dpbusd_epi32(low[Chains - 1], four_bytes(x + 8), last_four);
      high[Chains - 1] = _mm512_dpbusd_epi32(high[Chains - 1], last_four, four_bytes(x + 12));
    }
    Int total() const {
      if constexpr (Chains == 1) return joined(low[0], high[0]);
      return joined(_mm512_add_epi32(low[0], low[1]), _mm512_add_epi32(high[0], high[1]));
    }
    static Int four_bytes(const uint8_t* x) {
      int32_t four;
      memcpy(&four, x, sizeof(four));
      return _mm512_set1_epi32(four);
    }
    static Int joined(Int low, Int high) { return _mm512_add_epi32(low, _mm512_slli_epi32(high, 8)); }

    Int low[Chains] = {}, high[Chains] = {};
  };

 private:
  static __mmask16 mask(FirstLanes lanes) { return static_cast<__mmask16>((1u << lanes.count) - 1); }
  static __m128i load_bytes(const uint8_t* p, AllLanes) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static __m128i load_bytes(const uint8_t* p, FirstLanes lanes) { return _mm_maskz_loadu_epi8(mask(lanes), p); }
};

}  // namespace octet::kernels
