#include <immintrin.h>

#include <cstring>

#include "kernels/depthwise_quads_impl.h"

namespace octet::kernels {
namespace {

struct Zmm {
  static constexpr int64_t kBytes = 64;
  static constexpr int kPixels = 4;
  using Bytes = __m512i;
  using Int = __m512i;
  using Float = __m512;

  static Bytes load(const uint8_t* p, int64_t n) {
    return n == kBytes ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8(first(n), p);
  }
  static void store(uint8_t* p, Bytes v, int64_t n) {
    if (n == kBytes) {
      _mm512_storeu_si512(p, v);
    } else {
      _mm512_mask_storeu_epi8(p, first(n), v);
    }
  }
  static Bytes set(uint8_t v) { return _mm512_set1_epi8(static_cast<char>(v)); }
  static void interleave(Bytes a, Bytes b, Bytes c, Bytes d, Bytes (&out)[4]) {
    const Bytes ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
    const Bytes cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
    out[0] = _mm512_unpacklo_epi16(ab_low, cd_low);
    out[1] = _mm512_unpackhi_epi16(ab_low, cd_low);
    out[2] = _mm512_unpacklo_epi16(ab_high, cd_high);
    out[3] = _mm512_unpackhi_epi16(ab_high, cd_high);
  }
  static Bytes join(const Int (&v)[4], int16_t offset) {
    const __m512i offsets = _mm512_set1_epi16(offset), low_byte = _mm512_set1_epi16(0xff);
    const __m512i low = _mm512_add_epi16(_mm512_packs_epi32(v[0], v[1]), offsets);
    const __m512i high = _mm512_add_epi16(_mm512_packs_epi32(v[2], v[3]), offsets);
    return _mm512_packus_epi16(_mm512_and_si512(low, low_byte), _mm512_and_si512(high, low_byte));
  }
  static Bytes strided(const void* p) {
    const auto* const from = static_cast<const __m128i*>(p);
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128(from));
    v = _mm512_inserti32x4(v, _mm_loadu_si128(from + 4), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128(from + 8), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128(from + 12), 3);
  }
  static Int dot(Int sum, Bytes a, Bytes w) { return _mm512_dpbusd_epi32(sum, a, w); }

  static Float set(float v) { return _mm512_set1_ps(v); }
  static Float as_float(Int v) { return _mm512_castsi512_ps(v); }
  static Float to_float(Int v) { return _mm512_cvtepi32_ps(v); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Int round(Float a) { return _mm512_cvtps_epi32(a); }

 private:
  static __mmask64 first(int64_t n) { return (__mmask64{1} << n) - 1; }
};

}  // namespace

void depthwise_quads_avx512_vnni(const DepthwiseQuadsArgs& args) { depthwise_quads<Zmm>(args); }

}  // namespace octet::kernels
