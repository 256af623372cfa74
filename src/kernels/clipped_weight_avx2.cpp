#include <immintrin.h>

#include <cstring>

#include "kernels/clipped_weight_kernels.h"
#include "kernels/row_tiles.h"
#include "kernels/tile_avx2.h"

namespace octet::kernels {
namespace {

__m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

alignas(32) constexpr int16_t kOnes[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/// acc[v] += a[0..3] * b[v] + a[4..7] * next[v], for each 32-bit lane. In assembly, since compilers put accumulators on the stack
/// here.
[[gnu::always_inline]] inline void multiply_add(__m256i (&acc)[2], const uint8_t* a, const __m256i (&b)[2],
                                                const __m256i (&next)[2]) {
  __m256i t, u, v, w;
  asm("vpbroadcastd %[a0], %[t]\n\t"
      "vpbroadcastd %[a1], %[u]\n\t"
      "vpmaddubsw %[b0], %[t], %[v]\n\t"
      "vpmaddubsw %[n0], %[u], %[w]\n\t"
      "vpmaddubsw %[b1], %[t], %[t]\n\t"
      "vpmaddubsw %[n1], %[u], %[u]\n\t"
      "vpaddw %[v], %[w], %[v]\n\t"
      "vpaddw %[t], %[u], %[t]\n\t"
      "vpmaddwd %[ones], %[v], %[v]\n\t"
      "vpmaddwd %[ones], %[t], %[t]\n\t"
      "vpaddd %[v], %[acc0], %[acc0]\n\t"
      "vpaddd %[t], %[acc1], %[acc1]"
      : [acc0] "+x"(acc[0]), [acc1] "+x"(acc[1]), [t] "=&x"(t), [u] "=&x"(u), [v] "=&x"(v), [w] "=&x"(w)
      : [a0] "m"(*reinterpret_cast<const uint8_t(*)[4]>(a)), [a1] "m"(*reinterpret_cast<const uint8_t(*)[4]>(a + 4)),
        [b0] "x"(b[0]), [b1] "x"(b[1]), [n0] "x"(next[0]), [n1] "x"(next[1]), [ones] "m"(kOnes));
}
[[gnu::always_inline]] inline void multiply_add(__m256i (&acc)[1], const uint8_t* a, const __m256i (&b)[1],
                                                const __m256i (&next)[1]) {
  __m256i t, u;
  asm("vpbroadcastd %[a0], %[t]\n\t"
      "vpbroadcastd %[a1], %[u]\n\t"
      "vpmaddubsw %[b], %[t], %[t]\n\t"
      "vpmaddubsw %[n], %[u], %[u]\n\t"
      "vpaddw %[t], %[u], %[t]\n\t"
      "vpmaddwd %[ones], %[t], %[t]\n\t"
      "vpaddd %[t], %[acc], %[acc]"
      : [acc] "+x"(acc[0]), [t] "=&x"(t), [u] "=&x"(u)
      : [a0] "m"(*reinterpret_cast<const uint8_t(*)[4]>(a)), [a1] "m"(*reinterpret_cast<const uint8_t(*)[4]>(a + 4)),
        [b] "x"(b[0]), [n] "x"(next[0]), [ones] "m"(kOnes));
}

/// Rows x kVectors * 8 columns.
template <int kRows, int kVectors, class Finish>
[[gnu::noinline]] void accumulate_tile(const uint8_t* a, int64_t a_stride, const int8_t* b, int64_t k, Finish finish) {
  __m256i acc[kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) acc[r][v] = finish.start(r, v);
  }
  for (const uint8_t* const end = a + k; a < end; a += kClippedStep, b += kClippedStep * kColumns) {
    asm("" : "+r"(a_stride));  // keeps compilers from making a pointer for each row, for which there are too few registers
    __m256i weights[kVectors], next[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      weights[v] = load(b + 32 * v);
      next[v] = load(b + 4 * kColumns + 32 * v);
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) multiply_add(acc[r], a + r * a_stride, weights, next);
  }
  finish(acc);
}

/// All rows; `finish(row)` says what becomes of the sums from that row on.
template <int kVectors, class Finish>
void accumulate_panel(const ClippedWeightArgs& args, int64_t panel, const Finish& finish) {
  constexpr int kTileRows = 4;
  const int64_t panel_bytes = args.padded_k * kColumns;
  const int8_t* const weight = args.panels + panel * panel_bytes;
  // Meanwhile the next panel comes into the first cache, in as many parts as there are tiles, if both have room there.
  constexpr int64_t kLargestPanel = 16 * 1024;
  const int64_t part = panel_bytes <= kLargestPanel ? panel_bytes * kTileRows / args.rows : 0;
  const int8_t* next = weight + panel_bytes;
  for_each_row_tile<kTileRows>(args.rows, [&]<int kRows>(int64_t row) {
    for (const int8_t* const end = next + part; next < end; next += 64) _mm_prefetch(next, _MM_HINT_T0);
    accumulate_tile<kRows, kVectors>(args.a + row * args.a_stride, args.a_stride, weight, args.padded_k, finish(row));
  });
}

constexpr int64_t kHalf = kTransposedRows / 2;  ///< the rows of a vector of bytes

/// The sums of 32 rows in the order of their instructions: vector i has the rows [4 * i, 4 * i + 4), and those 16 rows further on.
struct HalfSums {
  __m256i vector[4];
};

/// Writes the rows of vector i of eight columns.
[[gnu::always_inline]] inline void transpose_sums(const HalfSums* columns, int64_t columns_stride, int i, int32_t* seeds) {
  __m256i a[8], b[8];
#pragma GCC unroll 8
  for (int c = 0; c < 8; ++c) a[c] = load(&columns[c * columns_stride].vector[i]);
#pragma GCC unroll 4
  for (int c = 0; c < 8; c += 2) {
    b[c] = _mm256_unpacklo_epi32(a[c], a[c + 1]);
    b[c + 1] = _mm256_unpackhi_epi32(a[c], a[c + 1]);
  }
#pragma GCC unroll 2
  for (int c = 0; c < 8; c += 4) {
    a[c] = _mm256_unpacklo_epi64(b[c], b[c + 2]);
    a[c + 1] = _mm256_unpackhi_epi64(b[c], b[c + 2]);
    a[c + 2] = _mm256_unpacklo_epi64(b[c + 1], b[c + 3]);
    a[c + 3] = _mm256_unpackhi_epi64(b[c + 1], b[c + 3]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    const auto store = [&](int row, __m256i v) { _mm256_store_si256(reinterpret_cast<__m256i*>(seeds + row * kColumns), v); };
    store(4 * i + r, _mm256_permute2x128_si256(a[r], a[r + 4], 0x20));
    store(4 * i + r + 16, _mm256_permute2x128_si256(a[r], a[r + 4], 0x31));
  }
}

/// What was clipped off a column times kHalves * kHalf rows.
template <int kHalves>
void multiply_clipped_off(const uint8_t* transposed, const ClippedOffWeights* entry, const ClippedOffWeights* end, int32_t start,
                          HalfSums (&sums)[kHalves]) {
  const __m256i ones = _mm256_set1_epi16(1);
  HalfSums acc[kHalves];
#pragma GCC unroll 2
  for (int h = 0; h < kHalves; ++h) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) acc[h].vector[i] = _mm256_set1_epi32(start);
  }
  for (; entry < end; ++entry) {
    int32_t values;
    memcpy(&values, entry->value, sizeof(values));
    const __m256i weights = _mm256_set1_epi32(values);
#pragma GCC unroll 2
    for (int h = 0; h < kHalves; ++h) {
      const auto rows = [&](int i) { return load(transposed + entry->k[i] * kTransposedRows + h * kHalf); };
      const __m256i a0 = rows(0), a1 = rows(1), a2 = rows(2), a3 = rows(3);
      const __m256i low0 = _mm256_unpacklo_epi8(a0, a1), high0 = _mm256_unpackhi_epi8(a0, a1);
      const __m256i low1 = _mm256_unpacklo_epi8(a2, a3), high1 = _mm256_unpackhi_epi8(a2, a3);
      multiply_add_quad(acc[h].vector[0], weights, _mm256_unpacklo_epi16(low0, low1), ones);
      multiply_add_quad(acc[h].vector[1], weights, _mm256_unpackhi_epi16(low0, low1), ones);
      multiply_add_quad(acc[h].vector[2], weights, _mm256_unpacklo_epi16(high0, high1), ones);
      multiply_add_quad(acc[h].vector[3], weights, _mm256_unpackhi_epi16(high0, high1), ones);
    }
  }
#pragma GCC unroll 2
  for (int h = 0; h < kHalves; ++h) sums[h] = acc[h];
}

/// `seeds[row][column] = start[column] +` what was clipped off, of a panel's columns; for whole halves of rows.
template <int kHalves>
void seed_panel(const ClippedWeightArgs& args, int64_t panel, const int32_t* start, int32_t* seeds) {
  HalfSums sums[kColumns][kHalves];
  const uint32_t* const ends = args.ends + panel * kColumns;
  for (int64_t c = 0; c < kColumns; ++c) {
    multiply_clipped_off<kHalves>(args.transposed, args.clipped_off + ends[c], args.clipped_off + ends[c + 1],
                                  start ? start[c] : 0, sums[c]);
  }
  for (int64_t h = 0; h < kHalves; ++h) {
    for (int64_t c = 0; c < kColumns; c += 8) {
      for (int i = 0; i < 4; ++i) transpose_sums(&sums[c][h], kHalves, i, seeds + h * kHalf * kColumns + c);
    }
  }
}

void seed_panel(const ClippedWeightArgs& args, int64_t panel, const int32_t* start, int32_t* seeds) {
  (args.rows <= kHalf ? seed_panel<1> : seed_panel<2>)(args, panel, start, seeds);
}

/// kBytes of 16 rows.
template <int kBytes>
void transpose_bytes(const uint8_t* const* rows, int64_t k, uint8_t* out) {
  __m128i a[16], b[16];
  for (int i = 0; i < 16; ++i) {
    const auto* const from = reinterpret_cast<const __m128i*>(rows[i] + k);
    a[i] = kBytes == 16 ? _mm_loadu_si128(from) : _mm_loadl_epi64(from);
  }
  // Four times the rows' first halves and their last are interleaved.
  const auto interleave = [](const __m128i* from, __m128i* to) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      to[2 * i] = _mm_unpacklo_epi8(from[i], from[i + 8]);
      to[2 * i + 1] = _mm_unpackhi_epi8(from[i], from[i + 8]);
    }
  };
  interleave(a, b);
  interleave(b, a);
  interleave(a, b);
  interleave(b, a);
  for (int i = 0; i < kBytes; ++i) _mm_store_si128(reinterpret_cast<__m128i*>(out + (k + i) * kTransposedRows), a[i]);
}

void transpose(const uint8_t* a, int64_t a_stride, int64_t rows, int64_t padded_k, uint8_t* transposed) {
  for (int64_t first = 0; first < rows; first += 16) {
    const uint8_t* from[16];
    for (int64_t i = 0; i < 16; ++i) from[i] = a + (first + i < rows ? first + i : rows - 1) * a_stride;
    int64_t k = 0;
    for (; k + 16 <= padded_k; k += 16) transpose_bytes<16>(from, k, transposed + first);
    if (k < padded_k) transpose_bytes<8>(from, k, transposed + first);
  }
}

void accumulate(const ClippedWeightArgs& args, int32_t* sums) {
  alignas(64) int32_t seeds[kTransposedRows * kColumns];
  for (int64_t panel = 0; panel < args.panel_count; ++panel) {
    int32_t* const to = sums + panel * args.rows * kColumns;
    seed_panel(args, panel, nullptr, seeds);
    memcpy(to, seeds, static_cast<size_t>(args.rows * kColumns) * sizeof(int32_t));
    accumulate_panel<2>(args, panel, [&](int64_t row) { return Avx2StoredSums{to + row * kColumns, true}; });
  }
}

void multiply_requantized(const ClippedWeightArgs& args, int64_t columns, const RequantizedTerms& terms,
                          const RequantizeArgs& to) {
  alignas(64) int32_t seeds[kTransposedRows * kColumns];
  const RequantizedTile<Avx2Simd> requantize(terms, to);
  for (int64_t panel = 0; panel < args.panel_count; ++panel) {
    const int64_t column = panel * kColumns;
    seed_panel(args, panel, terms.start + column, seeds);
    const Avx2RequantizedPanel requantized{
        {requantize, column, columns - column < kColumns ? columns - column : kColumns}, seeds, kColumns};
    const auto finish = [&](int64_t row) { return Avx2RequantizedSums{requantized, row}; };
    requantized.columns > kColumns / 2 ? accumulate_panel<2>(args, panel, finish) : accumulate_panel<1>(args, panel, finish);
  }
}

}  // namespace

const ClippedWeightKernels avx2_clipped_weight_kernels{transpose, accumulate, multiply_requantized};

}  // namespace octet::kernels
