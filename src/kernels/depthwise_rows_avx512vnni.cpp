#include <immintrin.h>

#include "kernels/depthwise_rows_impl.h"

namespace octet::kernels {
namespace {

/// Adds four products to each lane. In assembly, since compilers copy the sums to and fro here, and load weights anew for each.
template <class Int>
void add_dot(Int& sum, Int a, Int w) {
  asm("vpdpbusd %[w], %[a], %[sum]" : [sum] "+v"(sum) : [a] "v"(a), [w] "v"(w));
}
template <class Int>
void add_dot(Int& sum, Int a, const uint8_t* w) {
  asm("vpdpbusd %[w], %[a], %[sum]" : [sum] "+v"(sum) : [a] "v"(a), [w] "m"(*reinterpret_cast<const Int*>(w)));
}

/// What depends on the size of a vector only by the names of instructions. vpdpbusd takes four rows.
struct Zmm {
  static constexpr int64_t kLanes = 64;
  static constexpr int kGroup = 4, kParts = 4, kSums = 6, kStreamRows = 2, kJoined = 1;
  using Bytes = __m512i;
  using Joined = __m512i;
  using Words = __m512i;
  using Int = __m512i;
  using Float = __m512;
  using Lanes = AllLanes;

  static Lanes lanes(int64_t) { return {}; }
  static Bytes load_bytes(const uint8_t* p, Lanes) { return _mm512_loadu_si512(p); }
  template <int kIndex>
  static void store_bytes(uint8_t* p, Bytes v, Lanes) {
    _mm512_storeu_si512(p, v);
  }
  static Bytes set_bytes(uint8_t v) { return _mm512_set1_epi8(static_cast<char>(v)); }
  static Joined set_joined(uint8_t v) { return set_bytes(v); }
  static Joined min_bytes(Joined a, Joined b) { return _mm512_min_epi8(a, b); }
  static Joined add_bytes(Joined a, Joined b) { return _mm512_add_epi8(a, b); }

  template <class Byte>
  static void interleave(const Bytes (&rows)[kGroup], Int (&parts)[kParts]) {
    const Int low01 = _mm512_unpacklo_epi8(rows[0], rows[1]), high01 = _mm512_unpackhi_epi8(rows[0], rows[1]);
    const Int low23 = _mm512_unpacklo_epi8(rows[2], rows[3]), high23 = _mm512_unpackhi_epi8(rows[2], rows[3]);
    parts[0] = _mm512_unpacklo_epi16(low01, low23);
    parts[1] = _mm512_unpackhi_epi16(low01, low23);
    parts[2] = _mm512_unpacklo_epi16(high01, high23);
    parts[3] = _mm512_unpackhi_epi16(high01, high23);
  }
  static Words words(Int a, Int b, Words offset) { return _mm512_adds_epi16(_mm512_packs_epi32(a, b), offset); }
  static Joined bytes(Words a, Words b) { return _mm512_packs_epi16(a, b); }
  static Words set_words(int16_t v) { return _mm512_set1_epi16(v); }

  static Int load(const uint8_t* p) { return _mm512_load_si512(p); }
  static void store(uint8_t* p, Int v) { _mm512_store_si512(p, v); }
  static Int strided(const void* p) {
    const auto* const from = static_cast<const __m128i*>(p);
    Int v = _mm512_castsi128_si512(_mm_loadu_si128(from));
    v = _mm512_inserti32x4(v, _mm_loadu_si128(from + kParts), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128(from + 2 * kParts), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128(from + 3 * kParts), 3);
  }
  template <class Weight>
  static void dot(Int& sum, Int a, Weight w) {
    add_dot(sum, a, w);
  }

  static Int next_row(Int a) { return _mm512_srli_epi32(a, 8); }

  static Float as_float(Int v) { return _mm512_castsi512_ps(v); }
  static Float to_float(Int v) { return _mm512_cvtepi32_ps(v); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Int round(Float a) { return _mm512_cvtps_epi32(a); }
};

struct Ymm {
  static constexpr int64_t kLanes = 32;
  static constexpr int kGroup = 4, kParts = 4, kSums = 6, kStreamRows = 2, kJoined = 1;
  using Bytes = __m256i;
  using Joined = __m256i;
  using Words = __m256i;
  using Int = __m256i;
  using Float = __m256;
  using Lanes = AllLanes;

  static Lanes lanes(int64_t) { return {}; }
  static Bytes load_bytes(const uint8_t* p, Lanes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  template <int kIndex>
  static void store_bytes(uint8_t* p, Bytes v, Lanes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }
  static Bytes set_bytes(uint8_t v) { return _mm256_set1_epi8(static_cast<char>(v)); }
  static Joined set_joined(uint8_t v) { return set_bytes(v); }
  static Joined min_bytes(Joined a, Joined b) { return _mm256_min_epi8(a, b); }
  static Joined add_bytes(Joined a, Joined b) { return _mm256_add_epi8(a, b); }

  template <class Byte>
  static void interleave(const Bytes (&rows)[kGroup], Int (&parts)[kParts]) {
    const Int low01 = _mm256_unpacklo_epi8(rows[0], rows[1]), high01 = _mm256_unpackhi_epi8(rows[0], rows[1]);
    const Int low23 = _mm256_unpacklo_epi8(rows[2], rows[3]), high23 = _mm256_unpackhi_epi8(rows[2], rows[3]);
    parts[0] = _mm256_unpacklo_epi16(low01, low23);
    parts[1] = _mm256_unpackhi_epi16(low01, low23);
    parts[2] = _mm256_unpacklo_epi16(high01, high23);
    parts[3] = _mm256_unpackhi_epi16(high01, high23);
  }
  static Words words(Int a, Int b, Words offset) { return _mm256_adds_epi16(_mm256_packs_epi32(a, b), offset); }
  static Joined bytes(Words a, Words b) { return _mm256_packs_epi16(a, b); }
  static Words set_words(int16_t v) { return _mm256_set1_epi16(v); }

  static Int load(const uint8_t* p) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store(uint8_t* p, Int v) { _mm256_store_si256(reinterpret_cast<__m256i*>(p), v); }
  static Int strided(const void* p) {
    const auto* const from = static_cast<const __m128i*>(p);
    return _mm256_set_m128i(_mm_loadu_si128(from + kParts), _mm_loadu_si128(from));
  }
  template <class Weight>
  static void dot(Int& sum, Int a, Weight w) {
    add_dot(sum, a, w);
  }

  static Int next_row(Int a) { return _mm256_srli_epi32(a, 8); }

  static Float as_float(Int v) { return _mm256_castsi256_ps(v); }
  static Float to_float(Int v) { return _mm256_cvtepi32_ps(v); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Int round(Float a) { return _mm256_cvtps_epi32(a); }
};

/// Fewer channels than a vector has lanes. (Masks cost a tenth of the time.)
struct PartOfYmm : Ymm {
  using Lanes = __mmask32;

  static Lanes lanes(int64_t channels) { return (Lanes{1} << channels) - 1; }
  static Bytes load_bytes(const uint8_t* p, Lanes lanes) { return _mm256_maskz_loadu_epi8(lanes, p); }
  template <int kIndex>
  static void store_bytes(uint8_t* p, Bytes v, Lanes lanes) {
    _mm256_mask_storeu_epi8(p, lanes, v);
  }
};

void run(const DepthwiseRowsArgs& args) {
  if (args.channels < Ymm::kLanes) return depthwise_channels<PartOfYmm>(args, 0);
  const int64_t whole = args.channels / Zmm::kLanes * Zmm::kLanes;
  depthwise_rows<Zmm>(args, 0, whole);
  depthwise_rows<Ymm>(args, whole, args.channels);
}

}  // namespace

constexpr DepthwiseRowsKernel avx512_vnni_depthwise_rows{run, 1, 1};

}  // namespace octet::kernels
