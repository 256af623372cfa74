#include <immintrin.h>

#include <cstring>

#include "kernels/clipped_kernels.h"
#include "kernels/kernel_table.h"
#include "kernels/tile_avx2.h"

// Activations a and weights w (signed bytes) are multiplied as (a - offset) * (w + 128): vpmaddubsw takes the weights as its
// unsigned bytes and the activations as its signed ones. A 16-bit sum of products stays exact if the activations that meet in
// it have positive parts that sum up to kClipLimit at most, and negative parts likewise: 255 * 128 = 32640.

namespace octet::kernels {
namespace {

__m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

/// 32 activations less the offset, as saturated signed bytes, and a bit for each byte (two for each 16-bit sum) that says
/// whether they do not fit.
struct Shifted {
  Shifted(__m256i a, __m256i offset) {
    const __m256i signed_a = _mm256_xor_si256(a, _mm256_set1_epi8(-128));
    bytes = _mm256_subs_epi8(signed_a, offset);
    const __m256i exact = _mm256_cmpeq_epi16(bytes, _mm256_sub_epi8(signed_a, offset));
    const __m256i ones = _mm256_set1_epi8(1), zero = _mm256_setzero_si256();
    const __m256i positive = _mm256_maddubs_epi16(ones, _mm256_max_epi8(bytes, zero));
    const __m256i negative = _mm256_maddubs_epi16(ones, _mm256_min_epi8(bytes, zero));
    one_quad = unfit(exact, positive, negative);
    two_quads = unfit(_mm256_and_si256(exact, next_quad(exact)), _mm256_add_epi16(positive, next_quad(positive)),
                      _mm256_add_epi16(negative, next_quad(negative)));
  }

  __m256i bytes;
  uint32_t one_quad;
  uint32_t two_quads;  ///< the sums of both quads of a pair have the bits

 private:
  static __m256i next_quad(__m256i v) { return _mm256_shuffle_epi32(v, 0xb1); }
  static uint32_t unfit(__m256i exact, __m256i positive, __m256i negative) {
    const __m256i too_large = _mm256_cmpgt_epi16(positive, _mm256_set1_epi16(kClipLimit));
    const __m256i too_small = _mm256_cmpgt_epi16(_mm256_set1_epi16(-kClipLimit), negative);
    const __m256i bad = _mm256_or_si256(_mm256_or_si256(too_large, too_small), _mm256_xor_si256(exact, _mm256_set1_epi8(-1)));
    return static_cast<uint32_t>(_mm256_movemask_epi8(bad));
  }
};

__m256i shift_of(int32_t offset) { return _mm256_set1_epi8(static_cast<char>(offset - 128)); }

/// Calls `body(k, a)` for each 32 activations of a row; the last of them are filled up with the offset.
template <class Body>
void for_each_32(const uint8_t* a, int64_t k, int32_t offset, const Body& body) {
  int64_t i = 0;
  for (; i + 32 <= k; i += 32) body(i, load(a + i));
  if (i == k) return;
  alignas(32) uint8_t rest[32];
  memset(rest, offset, sizeof(rest));
  memcpy(rest, a + i, static_cast<size_t>(k - i));
  body(i, load(rest));
}

int64_t sum_of_quarters(__m256i v) {
  alignas(32) int64_t quarters[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(quarters), v);
  return quarters[0] + quarters[1] + quarters[2] + quarters[3];
}

ClipCount count(const uint8_t* a, int64_t k) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i total = zero;
  for_each_32(a, k, 0, [&](int64_t, __m256i v) { total = _mm256_add_epi64(total, _mm256_sad_epu8(v, zero)); });
  ClipCount counted{.offset = k ? static_cast<int32_t>((sum_of_quarters(total) + k / 2) / k) : 0, .one_quad = 0, .two_quads = 0};
  const __m256i shift = shift_of(counted.offset);
  for_each_32(a, k, counted.offset, [&](int64_t, __m256i v) {
    const Shifted shifted(v, shift);
    counted.one_quad += __builtin_popcount(shifted.one_quad) / 2;
    counted.two_quads += __builtin_popcount(shifted.two_quads) / 4;
  });
  return counted;
}

/// Clips the activations of 16-bit sums until they fit.
class Clipper {
 public:
  explicit Clipper(const ClipArgs& args) : args_(args), entries_{args.added, args.subtracted} {}

  /// Takes the sum of two activations each of `quads` quads, the first of which is i.
  void fit(int64_t i, int quads) {
    const int n = 2 * quads;
    int32_t values[4], parts[2] = {0, 0};  // the sums of the positive and of the negative parts
    int32_t largest_magnitude = -1, left_out = 0;
    int largest = 0;
    for (int e = 0; e < n; ++e) {
      const int64_t k = at(i, e);
      values[e] = args_.clipped[k];
      left_out |= k < args_.k ? args_.a[k] - args_.offset - values[e] : 0;
      parts[0] += values[e] > 0 ? values[e] : 0;
      parts[1] -= values[e] < 0 ? values[e] : 0;
    }
    const bool is_negative = parts[1] > kClipLimit;
    for (int e = 0; e < n; ++e) {
      const int32_t magnitude = is_negative ? -values[e] : values[e];
      largest = magnitude > largest_magnitude ? e : largest;
      largest_magnitude = magnitude > largest_magnitude ? magnitude : largest_magnitude;
    }
    const int32_t excess = parts[is_negative] - kClipLimit;
    // Mostly, it is enough to take the excess from one activation, and then there is nothing to guess for the processor.
    if (left_out || parts[!is_negative] > kClipLimit || excess > largest_magnitude) [[unlikely]]
      return fit_slowly(i, n, values);
    take_off(at(i, largest), is_negative, excess);
  }

  ClipResult result(int64_t sum_of_saturated) const {
    return {.added = entries_[0] - args_.added,
            .subtracted = entries_[1] - args_.subtracted,
            .sum = static_cast<int32_t>(sum_of_saturated) + change_};
  }

 private:
  static int64_t at(int64_t i, int e) { return i + e / 2 * 4 + e % 2; }

  void list(int64_t k, bool is_negative, int32_t magnitude) {
    *entries_[is_negative]++ = {static_cast<int32_t>(k / 4 * 4 * kColumns), static_cast<uint32_t>(magnitude) << (k % 4 * 8)};
  }

  /// Brings an activation, which is not saturated, nearer to zero.
  void take_off(int64_t k, bool is_negative, int32_t magnitude) {
    const int32_t change = is_negative ? magnitude : -magnitude;
    args_.clipped[k] = static_cast<int8_t>(args_.clipped[k] + change);
    change_ += change;
    list(k, is_negative, magnitude);
  }

  void fit_slowly(int64_t i, int n, int32_t* values) {
    clip_sum(values, n);
    for (int e = 0; e < n; ++e) {
      const int64_t k = at(i, e);
      const int32_t exact = k < args_.k ? args_.a[k] - args_.offset : 0;
      change_ += values[e] - args_.clipped[k];
      args_.clipped[k] = static_cast<int8_t>(values[e]);
      if (exact != values[e]) list(k, exact < values[e], exact < values[e] ? values[e] - exact : exact - values[e]);
    }
  }

  const ClipArgs& args_;
  ClippedOff* entries_[2];  ///< the ends of what was added and of what was subtracted
  int32_t change_ = 0;      ///< of the sum
};

ClipResult clip(const ClipArgs& args) {
  Clipper clipper(args);
  const __m256i shift = shift_of(args.offset), zero = _mm256_setzero_si256(), sign = _mm256_set1_epi8(-128);
  __m256i total = zero;
  int64_t taken = 0;
  for_each_32(args.a, args.k, args.offset, [&](int64_t i, __m256i a) {
    const Shifted shifted(a, shift);
    total = _mm256_add_epi64(total, _mm256_sad_epu8(_mm256_xor_si256(shifted.bytes, sign), zero));
    taken += 32;
    if (i + 32 <= args.padded_k) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(args.clipped + i), shifted.bytes);
    } else {
      alignas(32) int8_t rest[32];
      _mm256_store_si256(reinterpret_cast<__m256i*>(rest), shifted.bytes);
      memcpy(args.clipped + i, rest, static_cast<size_t>(args.padded_k - i));
    }
    const bool two = args.depth == SumDepth::two_quads;
    // Of each sum one bit is left; of a pair of quads the first one's.
    uint32_t unfit = two ? shifted.two_quads & 0x05050505 : shifted.one_quad & 0x55555555;
    for (; unfit; unfit &= unfit - 1) clipper.fit(i + __builtin_ctz(unfit), two ? 2 : 1);
  });
  return clipper.result(sum_of_quarters(total) - 128 * taken);
}

/// acc += (a[0..3] * b0 + a[4..7] * b1), for each 32-bit lane. In assembly, since compilers put accumulators on the stack here.
[[gnu::always_inline]] inline void multiply_add(__m256i& acc, const int8_t* a, __m256i b0, __m256i b1, __m256i ones) {
  __m256i t, u;
  asm("vpbroadcastd %[a0], %[t]\n\t"
      "vpbroadcastd %[a1], %[u]\n\t"
      "vpmaddubsw %[t], %[b0], %[t]\n\t"
      "vpmaddubsw %[u], %[b1], %[u]\n\t"
      "vpaddw %[u], %[t], %[t]\n\t"
      "vpmaddwd %[ones], %[t], %[t]\n\t"
      "vpaddd %[t], %[acc], %[acc]"
      : [acc] "+x"(acc), [t] "=&x"(t), [u] "=&x"(u)
      : [a0] "m"(*reinterpret_cast<const int8_t(*)[4]>(a)), [a1] "m"(*reinterpret_cast<const int8_t(*)[4]>(a + 4)), [b0] "x"(b0),
        [b1] "x"(b1), [ones] "x"(ones));
}

constexpr int kVectors = 2;

/// Keeps the compiler from making a pointer for each row, for which there are too few registers.
[[gnu::always_inline]] inline void hide(int64_t& stride) { asm("" : "+r"(stride)); }

/// Adds to Rows x 16 columns of sums the products of `k` activations, a multiple of 8.
template <int Rows, SumDepth kDepth>
void accumulate_tile(const int8_t* a, int64_t a_stride, const int8_t* b, int64_t k, int32_t* sums) {
  const __m256i ones = _mm256_set1_epi16(1), sign = _mm256_set1_epi8(-128);
  const auto weights = [&](const int8_t* p) {
    return _mm256_xor_si256(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)), sign);
  };
  __m256i acc[Rows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      acc[r][v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(sums + r * kColumns) + v);
    }
  }
  if constexpr (kDepth == SumDepth::two_quads) {
    for (const int8_t* const end = a + k; a < end; a += 8, b += 8 * kColumns) {
      hide(a_stride);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        const __m256i b0 = weights(b + 32 * v), b1 = weights(b + 4 * kColumns + 32 * v);
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) multiply_add(acc[r][v], a + r * a_stride, b0, b1, ones);
      }
    }
  } else {
    for (const int8_t* const end = a + k; a < end; a += 4, b += 4 * kColumns) {
      hide(a_stride);
      const __m256i b0 = weights(b), b1 = weights(b + 32);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        int32_t four;
        memcpy(&four, a + r * a_stride, sizeof(four));
        const __m256i quad = _mm256_set1_epi32(four);
        multiply_add_quad(acc[r][0], quad, b0, ones);
        multiply_add_quad(acc[r][1], quad, b1, ones);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(sums + r * kColumns) + v, acc[r][v]);
    }
  }
}

/// Adds to the sums of a row what was clipped off before `end`; here the weights are the signed bytes.
/// @return where the entries from `end` on begin
template <bool kSubtract>
const ClippedOff* accumulate_clipped_off(const ClippedOff* entry, const ClippedOff* last, int64_t end, const int8_t* panel,
                                         int32_t* sums) {
  if (entry == last || entry->panel_offset >= end) return entry;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i acc[kVectors] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (; entry < last && entry->panel_offset < end; ++entry) {
    const __m256i magnitude = _mm256_set1_epi32(static_cast<int32_t>(entry->magnitude));
    const auto* const b = reinterpret_cast<const __m256i*>(panel + entry->panel_offset);
    multiply_add_quad(acc[0], _mm256_load_si256(b), magnitude, ones);
    multiply_add_quad(acc[1], _mm256_load_si256(b + 1), magnitude, ones);
  }
  auto* const to = reinterpret_cast<__m256i*>(sums);
  for (int v = 0; v < kVectors; ++v) {
    const __m256i sum = _mm256_load_si256(to + v);
    _mm256_store_si256(to + v, kSubtract ? _mm256_sub_epi32(sum, acc[v]) : _mm256_add_epi32(sum, acc[v]));
  }
  return entry;
}

using Tile = void (*)(const int8_t*, int64_t, const int8_t*, int64_t, int32_t*);
constexpr int64_t kTileRows = 5;

template <SumDepth kDepth>
constexpr Tile kTiles[kTileRows] = {accumulate_tile<1, kDepth>, accumulate_tile<2, kDepth>, accumulate_tile<3, kDepth>,
                                    accumulate_tile<4, kDepth>, accumulate_tile<5, kDepth>};

/// So many activations meet a part of a panel that stays in the first cache.
constexpr int64_t kDepthBlock = 1024;

void accumulate_panel(const AccumulateClippedArgs& args, const int8_t* panel, int32_t* sums) {
  const Tile* const tiles = args.depth == SumDepth::two_quads ? kTiles<SumDepth::two_quads> : kTiles<SumDepth::one_quad>;
  const ClippedOff *added[kRowBlock], *subtracted[kRowBlock];
  for (int64_t row = 0; row < args.rows; ++row) {
    const __m256i seed = _mm256_set1_epi32(args.clipped_rows[row].seed);
    for (int v = 0; v < kVectors; ++v) _mm256_store_si256(reinterpret_cast<__m256i*>(sums + row * kColumns) + v, seed);
    added[row] = args.clipped_off + (row == 0 ? 0 : args.clipped_rows[row - 1].subtracted);
    subtracted[row] = args.clipped_off + args.clipped_rows[row].added;
  }
  for (int64_t begin = 0; begin < args.padded_k; begin += kDepthBlock) {
    const int64_t end = begin + kDepthBlock < args.padded_k ? begin + kDepthBlock : args.padded_k;
    int64_t row = 0;
    for (int64_t left = (args.rows + kTileRows - 1) / kTileRows; left > 0; --left) {
      const int64_t rows = (args.rows - row) / left;  // tiles of even height
      tiles[rows - 1](args.clipped + row * args.stride + begin, args.stride, panel + begin * kColumns, end - begin,
                      sums + row * kColumns);
      row += rows;
    }
    for (row = 0; row < args.rows; ++row) {
      const ClippedRow& clipped = args.clipped_rows[row];
      int32_t* const to = sums + row * kColumns;
      added[row] = accumulate_clipped_off<false>(added[row], args.clipped_off + clipped.added, end * kColumns, panel, to);
      subtracted[row] =
          accumulate_clipped_off<true>(subtracted[row], args.clipped_off + clipped.subtracted, end * kColumns, panel, to);
    }
  }
}

void accumulate(const AccumulateClippedArgs& args) {
  for (int64_t panel = 0; panel < args.panel_count; ++panel) {
    accumulate_panel(args, args.panels + panel * args.padded_k * kColumns, args.sums + panel * args.rows * kColumns);
  }
}

}  // namespace

const ClippedKernels avx2_clipped_kernels{count, clip, accumulate};

}  // namespace octet::kernels
