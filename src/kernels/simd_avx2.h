#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/simd_lanes.h"

namespace octet::kernels {

/// Eight lanes of AVX2, FMA and F16C. See ScalarSimd for what the operations mean.
struct Avx2Simd {
  static constexpr int64_t kLanes = 8;
  using Float = __m256;
  using Int = __m256i;

  static Float load(const float* p, AllLanes) { return _mm256_loadu_ps(p); }
  static Float load(const float* p, FirstLanes lanes) { return _mm256_maskload_ps(p, mask(lanes)); }
  static Int load(const int32_t* p, AllLanes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Int load(const int32_t* p, FirstLanes lanes) { return _mm256_maskload_epi32(p, mask(lanes)); }
  /// 8 integers of kBits each, the first in the lowest bits.
  template <int kBits>
  static Int load_bits(const uint8_t* p) {
    uint32_t bits = 0;
    memcpy(&bits, p, kBits);
    const Int shifts = _mm256_setr_epi32(0, kBits, 2 * kBits, 3 * kBits, 4 * kBits, 5 * kBits, 6 * kBits, 7 * kBits);
    return _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int32_t>(bits)), shifts),
                            _mm256_set1_epi32((1 << kBits) - 1));
  }
  template <class Lanes>
  static Int load(const uint8_t* p, Lanes lanes) {
    return _mm256_cvtepu8_epi32(load_64_bits(p, lanes));
  }
  template <class Lanes>
  static Int load(const int8_t* p, Lanes lanes) {
    return _mm256_cvtepi8_epi32(load_64_bits(p, lanes));
  }
  static Int load_pairs(const int16_t* p, AllLanes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Int load_pairs(const int16_t* p, FirstLanes lanes) {
    return _mm256_maskload_epi32(reinterpret_cast<const int32_t*>(p), mask(lanes));
  }
  template <class Lanes>
  static Int load_pairs(const uint8_t* first, const uint8_t* second, Lanes lanes) {
    return _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(load_64_bits(first, lanes), load_64_bits(second, lanes)));
  }
  static void load_pairs_twice(const uint8_t* first, const uint8_t* second, Int& low, Int& high) {
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(first));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(second));
    low = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
    high = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
  }
  static Float load_half(const uint16_t* p, AllLanes) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Float load_half(const uint16_t* p, FirstLanes lanes) {
    uint16_t part[kLanes] = {};
    memcpy(part, p, lanes.count * sizeof(uint16_t));
    return load_half(part, AllLanes{});
  }

  static void store(float* p, Float v, AllLanes) { _mm256_storeu_ps(p, v); }
  static void store(float* p, Float v, FirstLanes lanes) { _mm256_maskstore_ps(p, mask(lanes), v); }
  static void store(int32_t* p, Int v, AllLanes) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static void store(int32_t* p, Int v, FirstLanes lanes) { _mm256_maskstore_epi32(p, mask(lanes), v); }
  template <class Lanes>
  static void store_low_bytes(uint8_t* p, Int v, Lanes lanes) {
    const __m256i low_bytes = _mm256_shuffle_epi8(v, _mm256_set1_epi32(0x0c080400));
    const int64_t bytes =
        _mm_cvtsi128_si64(_mm_unpacklo_epi32(_mm256_castsi256_si128(low_bytes), _mm256_extracti128_si256(low_bytes, 1)));
    memcpy(p, &bytes, count<Avx2Simd>(lanes));
  }
  static void store_low_bytes_twice(uint8_t* p, Int low, Int high) {
    const __m256i low_byte = _mm256_set1_epi32(0xff);
    const __m256i words = _mm256_packus_epi32(_mm256_and_si256(low, low_byte), _mm256_and_si256(high, low_byte));
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_shuffle_epi32(bytes, _MM_SHUFFLE(3, 1, 2, 0)));
  }
  static void store_split(uint8_t* row, int64_t i, Int v) {
    const __m256i split = _mm256_shuffle_epi8(v, _mm256_set1_epi64x(0x0d09'0501'0c08'0400));
    const __m256i together = _mm256_permute4x64_epi64(split, _MM_SHUFFLE(3, 1, 2, 0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(row + 2 * i), _mm256_castsi256_si128(together));
  }
  template <class Lanes>
  static void store_half(uint16_t* p, Float v, Lanes lanes) {
    const __m128i halves = _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
    memcpy(p, &halves, count<Avx2Simd>(lanes) * sizeof(uint16_t));
  }

  /// The bytes of each 16-bit lane, widened.
  static Int even_words(Int bytes) { return _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8); }
  static Int odd_words(Int bytes) { return _mm256_srai_epi16(bytes, 8); }

  using Bytes = __m256i;
  /// `clamp(v + zero_point, 0, 255)` of four vectors, one after the other.
  static Bytes saturated_bytes(Int a, Int b, Int c, Int d, Int zero_point) {
    const __m256i first = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero_point);
    const __m256i second = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero_point);
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(first, second), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }
  static Int set_words(int16_t v) { return _mm256_set1_epi16(v); }
  static Bytes set_bytes(uint8_t v) { return _mm256_set1_epi8(static_cast<char>(v)); }
  static Bytes max_bytes(Bytes a, Bytes b) { return _mm256_max_epu8(a, b); }
  static Bytes exclusive_or(Bytes a, Bytes b) { return _mm256_xor_si256(a, b); }
  static void store_all_bytes(uint8_t* p, Bytes v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  /// Stores the first n bytes of those that one vector or two became, kFirst the first of them.
  template <int kFirst, int kVectors>
  static void store_bytes(uint8_t* p, Bytes v, int64_t n) {
    static_assert(kVectors == 1 || kFirst % 2 == 0);
    __m128i part = _mm256_extracti128_si256(v, kFirst / 2);
    if (kVectors == 2 && n == 2 * kLanes) return _mm_storeu_si128(reinterpret_cast<__m128i*>(p), part);
    if (kFirst % 2 == 1) part = _mm_unpackhi_epi64(part, part);
    uint64_t rest = static_cast<uint64_t>(_mm_cvtsi128_si64(part));
    if (n & 8) {
      memcpy(p, &rest, 8);
      if (kVectors == 1) return;
      p += 8;
      rest = static_cast<uint64_t>(_mm_extract_epi64(part, 1));
    }
    for (const int bytes : {4, 2, 1}) {
      if (!(n & bytes)) continue;
      memcpy(p, &rest, static_cast<size_t>(bytes));
      p += bytes;
      rest >>= 8 * bytes;
    }
  }

  static Float set(float v) { return _mm256_set1_ps(v); }
  static Int set(int32_t v) { return _mm256_set1_epi32(v); }

  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm256_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float negated_fma(Float a, Float b, Float c) { return _mm256_fnmadd_ps(a, b, c); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float abs(Float a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static Float copy_sign(Float magnitude, Float sign) {
    return _mm256_or_ps(abs(magnitude), _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
  }
  static Float select_less(Float a, Float b, Float x, Float y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
  static Float select_equal(Float a, Float b, Float x, Float y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_EQ_OQ));
  }
  static Int round(Float a) { return _mm256_cvtps_epi32(a); }
  static Float nearest(Float a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static Float to_float(Int a) { return _mm256_cvtepi32_ps(a); }
  static Float power_of_two(Int a) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(a, _mm256_set1_epi32(127)), 23));
  }

  static Int add(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int sub(Int a, Int b) { return _mm256_sub_epi32(a, b); }
  static Int mul(Int a, Int b) { return _mm256_mullo_epi32(a, b); }
  static Int dot_pairs(Int a, Int b) { return _mm256_madd_epi16(a, b); }
  static Int low_nibbles(Int a) { return _mm256_and_si256(a, _mm256_set1_epi8(0x0f)); }
  static Int high_nibbles(Int a) { return low_nibbles(_mm256_srli_epi16(a, 4)); }
  static Int halved(Int a) { return _mm256_srai_epi32(a, 1); }

  static int32_t sum(Int a) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    s = _mm_add_epi32(s, _mm_unpackhi_epi64(s, s));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 1)));
  }
  static float lowest(Float a) {
    __m128 m = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_min_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_min_ss(m, _mm_movehdup_ps(m)));
  }
  static float highest(Float a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
  }

  static Int is_nan(Float a) { return _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q)); }
  static Int bit_or(Int a, Int b) { return _mm256_or_si256(a, b); }
  static bool any(Int a) { return !_mm256_testz_si256(a, a); }
  static uint32_t equal_bits(Float a, Float b) {
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)));
  }
  static Float where_set(uint32_t bits, Float a) {
    const __m256i bit_of_lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int32_t>(bits)), bit_of_lane);
    return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, bit_of_lane)));
  }

  static float sum16(const Float (&parts)[2]) {
    const __m256 s8 = _mm256_add_ps(parts[0], parts[1]);
    const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
  }

  /// vpmaddubsw would saturate at 32,767; two of its sums here are at most 4 * 255 * 15.
  template <int Chains>
  struct Int4Sums {
    void add(const uint8_t* x, Int first_four, Int last_four) {
      const __m256i low =
          _mm256_add_epi16(_mm256_maddubs_epi16(four_bytes(x), first_four), _mm256_maddubs_epi16(four_bytes(x + 8), last_four));
      const __m256i high = _mm256_add_epi16(_mm256_maddubs_epi16(first_four, four_bytes(x + 4)),
                                            _mm256_maddubs_epi16(last_four, four_bytes(x + 12)));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(low, _mm256_set1_epi16(1)));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(high, _mm256_set1_epi16(256)));
    }
    Int total() const { return sum; }

    static Int four_bytes(const uint8_t* x) {
      int32_t four;
      memcpy(&four, x, sizeof(four));
      return _mm256_set1_epi32(four);
    }

    Int sum = _mm256_setzero_si256();
  };

  /// vpshufb looks up in 16 entries, and gives 0 for an index with its high bit set: so each byte finds its entry in one of 16
  /// parts.
  struct ByteTable {
    static constexpr int64_t kBytes = 64;
    explicit ByteTable(const uint8_t* table) {
      for (int part = 0; part < 16; ++part) {
        parts[part] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table) + part));
      }
    }

    void look_up(const uint8_t* x, uint8_t* y) const {
      const auto load = [&](int half) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x) + half); };
      __m256i index[2] = {load(0), load(1)};
      __m256i found[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
      const __m256i high_bit_from_16_on = _mm256_set1_epi8(0x70);
#pragma GCC unroll 16
      for (int part = 0; part < 16; ++part) {
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
          const __m256i here = _mm256_adds_epu8(index[half], high_bit_from_16_on);
          found[half] = _mm256_or_si256(found[half], _mm256_shuffle_epi8(parts[part], here));
          index[half] = _mm256_sub_epi8(index[half], _mm256_set1_epi8(16));
        }
      }
      for (int half = 0; half < 2; ++half) _mm256_storeu_si256(reinterpret_cast<__m256i*>(y) + half, found[half]);
    }

    __m256i parts[16];
  };

 private:
  static __m256i mask(FirstLanes lanes) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(lanes.count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }

  static __m128i load_64_bits(const void* p, AllLanes) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
  /// Without a loop over the bytes: two words, or two pairs of bytes, that overlap.
  static __m128i load_64_bits(const void* p, FirstLanes lanes) {
    const int64_t n = lanes.count;
    return _mm_cvtsi64_si128(static_cast<int64_t>(n >= 4 ? ends<uint32_t>(p, n) : n >= 2 ? ends<uint16_t>(p, n) : ends<uint8_t>(p, n)));
  }
  template <class Word>
  static uint64_t ends(const void* p, int64_t n) {
    const auto* const bytes = static_cast<const uint8_t*>(p);
    const int64_t last_at = n - static_cast<int64_t>(sizeof(Word));
    Word first, last;
    memcpy(&first, bytes, sizeof(first));
    memcpy(&last, bytes + last_at, sizeof(last));
    return first | static_cast<uint64_t>(last) << 8 * last_at;
  }
};

}  // namespace octet::kernels
