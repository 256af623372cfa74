#include <immintrin.h>

#include "kernels/depthwise_rows_impl.h"

namespace octet::kernels {
namespace {

/// vpmaddubsw would saturate, so bytes are widened: the dot product is vpmaddwd's, of two rows.
struct WidenedPairs {
  static constexpr int kGroup = 2;
  using Int = __m256i;
  using Float = __m256;
  using Joined = __m256i;
  using Words = __m256i;
  using Lanes = AllLanes;

  static Lanes lanes(int64_t) { return {}; }

  static Int load(const uint8_t* p) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store(uint8_t* p, Int v) { _mm256_store_si256(reinterpret_cast<__m256i*>(p), v); }

  /// In assembly, since compilers load the weights anew for each product here, or else keep them in registers.
  static void dot(Int& sum, Int a, Int w) {
    Int products;
    asm("vpmaddwd %[w], %[a], %[products]\n\t"
        "vpaddd %[products], %[sum], %[sum]"
        : [sum] "+x"(sum), [products] "=&x"(products)
        : [a] "x"(a), [w] "x"(w));
  }
  static void dot(Int& sum, Int a, const uint8_t* w) {
    Int products;
    asm("vpmaddwd %[w], %[a], %[products]\n\t"
        "vpaddd %[products], %[sum], %[sum]"
        : [sum] "+x"(sum), [products] "=&x"(products)
        : [a] "x"(a), [w] "m"(*reinterpret_cast<const Int*>(w)));
  }

  static Int zero() { return _mm256_setzero_si256(); }
  static Int add(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int sub(Int a, Int b) { return _mm256_sub_epi32(a, b); }
  static Int add_words(Int a, Int b) { return _mm256_add_epi16(a, b); }
  static Int sub_words(Int a, Int b) { return _mm256_sub_epi16(a, b); }

  static Float as_float(Int v) { return _mm256_castsi256_ps(v); }
  static Float to_float(Int v) { return _mm256_cvtepi32_ps(v); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Int round(Float a) { return _mm256_cvtps_epi32(a); }

  static Words words(Int a, Int b, Words offset) { return _mm256_adds_epi16(_mm256_packs_epi32(a, b), offset); }
  static Words set_words(int16_t v) { return _mm256_set1_epi16(v); }
  static Joined set_joined(uint8_t v) { return _mm256_set1_epi8(static_cast<char>(v)); }
  static Joined min_bytes(Joined a, Joined b) { return _mm256_min_epi8(a, b); }
  static Joined add_bytes(Joined a, Joined b) { return _mm256_add_epi8(a, b); }

 protected:
  /// The 128 bits at p, and those `step` * 16 bytes on.
  static Int two(const void* p, int step) {
    const auto* const from = static_cast<const __m128i*>(p);
    return _mm256_set_m128i(_mm_loadu_si128(from + step), _mm_loadu_si128(from));
  }
};

/// 16 channels: their sums are few enough for several outputs at once, which share the loads of weights.
struct FewChannels : WidenedPairs {
  static constexpr int64_t kLanes = 16;
  static constexpr int kParts = 2, kSums = 6, kStreamRows = 0, kJoined = 2;
  using Bytes = __m128i;

  static Bytes load_bytes(const uint8_t* p, Lanes) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  template <int kIndex>
  static void store_bytes(uint8_t* p, Joined v, Lanes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), kIndex == 0 ? _mm256_castsi256_si128(v) : _mm256_extracti128_si256(v, 1));
  }
  static Bytes set_bytes(uint8_t v) { return _mm_set1_epi8(static_cast<char>(v)); }

  template <class Byte>
  static void interleave(const Bytes (&rows)[kGroup], Int (&parts)[kParts]) {
    const Int first = widened(rows[0], Byte{}), second = widened(rows[1], Byte{});
    parts[0] = _mm256_unpacklo_epi16(first, second);
    parts[1] = _mm256_unpackhi_epi16(first, second);
  }
  static Joined bytes(Words a, Words b) { return _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), _MM_SHUFFLE(3, 1, 2, 0)); }
  static Int strided(const void* p) { return two(p, kParts); }

 private:
  static Int widened(Bytes v, uint8_t) { return _mm256_cvtepu8_epi16(v); }
  static Int widened(Bytes v, int8_t) { return _mm256_cvtepi8_epi16(v); }
};

/// 32 channels, which take fewer instructions to lay out and to join.
struct ManyChannels : WidenedPairs {
  static constexpr int64_t kLanes = 32;
  static constexpr int kParts = 4, kSums = 3, kStreamRows = 1, kJoined = 1;
  using Bytes = __m256i;

  static Bytes load_bytes(const uint8_t* p, Lanes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  template <int kIndex>
  static void store_bytes(uint8_t* p, Joined v, Lanes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }
  static Bytes set_bytes(uint8_t v) { return set_joined(v); }

  template <class Byte>
  static void interleave(const Bytes (&rows)[kGroup], Int (&parts)[kParts]) {
    const Int low = _mm256_unpacklo_epi8(rows[0], rows[1]), high = _mm256_unpackhi_epi8(rows[0], rows[1]);
    parts[0] = _mm256_unpacklo_epi8(low, upper(low, Byte{}));
    parts[1] = _mm256_unpackhi_epi8(low, upper(low, Byte{}));
    parts[2] = _mm256_unpacklo_epi8(high, upper(high, Byte{}));
    parts[3] = _mm256_unpackhi_epi8(high, upper(high, Byte{}));
  }
  static Joined bytes(Words a, Words b) { return _mm256_packs_epi16(a, b); }
  static Int strided(const void* p) { return two(p, kParts); }

 private:
  /// What bytes have above them when they are widened.
  static Int upper(Int, uint8_t) { return _mm256_setzero_si256(); }
  static Int upper(Int bytes, int8_t) { return _mm256_cmpgt_epi8(_mm256_setzero_si256(), bytes); }
};

void run(const DepthwiseRowsArgs& args) {
  if (DepthwiseWinograd<ManyChannels>::takes(args)) {
    const int64_t whole = args.channels / ManyChannels::kLanes * ManyChannels::kLanes;
    depthwise_rows<ManyChannels>(args, 0, whole);
    depthwise_rows<FewChannels>(args, whole, args.channels);
  } else if (args.column_step == 1) {
    depthwise_rows<FewChannels>(args, 0, args.channels);
  } else {
    depthwise_rows<ManyChannels>(args, 0, args.channels);
  }
}

}  // namespace

constexpr DepthwiseRowsKernel avx2_depthwise_rows{run, FewChannels::kLanes, ManyChannels::kLanes};

}  // namespace octet::kernels
