#include <immintrin.h>

#include <cstring>

#include "kernels/tile_avx2.h"
#include "kernels/word_product_impl.h"

namespace octet::kernels {
namespace {

/// acc[v] += a * b[v], for pairs of 16-bit integers. In assembly, since compilers put accumulators on the stack here.
[[gnu::always_inline]] inline void multiply_add(__m256i (&acc)[2], const int16_t* a, const __m256i (&b)[2]) {
  __m256i t, u;
  asm("vpbroadcastd %[a], %[u]\n\t"
      "vpmaddwd %[b0], %[u], %[t]\n\t"
      "vpmaddwd %[b1], %[u], %[u]\n\t"
      "vpaddd %[t], %[acc0], %[acc0]\n\t"
      "vpaddd %[u], %[acc1], %[acc1]"
      : [acc0] "+x"(acc[0]), [acc1] "+x"(acc[1]), [t] "=&x"(t), [u] "=&x"(u)
      : [a] "m"(*reinterpret_cast<const int16_t(*)[2]>(a)), [b0] "x"(b[0]), [b1] "x"(b[1]));
}
[[gnu::always_inline]] inline void multiply_add(__m256i (&acc)[1], const int16_t* a, const __m256i (&b)[1]) {
  __m256i t;
  asm("vpbroadcastd %[a], %[t]\n\t"
      "vpmaddwd %[b], %[t], %[t]\n\t"
      "vpaddd %[t], %[acc], %[acc]"
      : [acc] "+x"(acc[0]), [t] "=&x"(t)
      : [a] "m"(*reinterpret_cast<const int16_t(*)[2]>(a)), [b] "x"(b[0]));
}

/// Tiles of rows x kVectors * 8 columns that follow each other. What they have in common is set up once, which counts where sums
/// are short.
template <int kRows, int kVectors, class Finish>
[[gnu::noinline]] void accumulate_tiles(const int16_t* a, int64_t a_stride, int64_t odd, const int16_t* weight, int64_t quads,
                                        int64_t tiles, Finish finish) {
  for (; tiles > 0; --tiles, a += kRows * a_stride, finish.skip(kRows)) {
    __m256i acc[kRows][kVectors];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) acc[r][v] = finish.start(r, v);
    }
    const auto load = [](const int16_t* p) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); };
    const int16_t* b = weight;
    for (const int16_t *from = a, *const end = a + 2 * quads; from < end; from += 2) {
#pragma GCC unroll 2
      for (const bool is_odd : {false, true}) {
        asm("" : "+r"(a_stride));  // keeps compilers from making a pointer for each row, for which there are too few registers
        const int16_t* const pairs = is_odd ? from + odd : from;
        __m256i weights[kVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) weights[v] = load(b + v * kColumns);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) multiply_add(acc[r], pairs + r * a_stride, weights);
        b += 2 * kColumns;
      }
    }
    finish(acc);
  }
}

/// k activations, a multiple of 8: first the even ones' pairs, then the odd ones'.
void widen_row(const uint8_t* a, int64_t k, int16_t* out) {
  int64_t i = 0;
  for (; i + 32 <= k; i += 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i / 2), _mm256_and_si256(bytes, _mm256_set1_epi16(0xff)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + k / 2 + i / 2), _mm256_srli_epi16(bytes, 8));
  }
  for (; i < k; i += 8) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(a + i));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i / 2), _mm_and_si128(bytes, _mm_set1_epi16(0xff)));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + k / 2 + i / 2), _mm_srli_epi16(bytes, 8));
  }
}

/// k weights of each column.
void widen_panel(const int8_t* panel, int64_t k, int16_t* out) {
  for (int64_t i = 0; i < k * kColumns; i += 64) {
    const auto* const from = reinterpret_cast<const __m256i*>(panel + i);
    auto* const to = reinterpret_cast<__m256i*>(out + i);
    for (int half = 0; half < 2; ++half) {
      const __m256i bytes = _mm256_load_si256(from + half);
      _mm256_store_si256(to + half, Avx2Simd::even_words(bytes));
      _mm256_store_si256(to + 2 + half, Avx2Simd::odd_words(bytes));
    }
  }
}

constexpr int kTileRows = 6;

}  // namespace

void multiply_words_avx2(const WordProductArgs& args) {
  multiply_words<kTileRows>(args, [&]<int kRows>(const int16_t* words, const int16_t* weight, int64_t tiles, int32_t* sums) {
    accumulate_tiles<kRows, 2>(words, args.row_stride, args.odd, weight, args.quads, tiles, Avx2StoredSums{sums, args.add});
  });
}

void accumulate_many_avx2(const AccumulateArgs& args) {
  constexpr int64_t kDepth = 128, kRowStride = kDepth + 32;  // rows do not compete for the same lines of the cache
  alignas(64) int16_t rows[kRowBlock * kRowStride], weight[kDepth * kColumns];
  const WordRows all_rows{0, args.rows};
  int64_t first = 0;
  do {  // without any k as well: the sums are zeros then
    const int64_t k = args.padded_k - first < kDepth ? args.padded_k - first : kDepth;
    for (int64_t row = 0; row < args.rows; ++row) widen_row(args.a + row * args.a_stride + first, k, rows + row * kRowStride);
    for (int64_t panel = 0; panel < args.panel_count; ++panel) {
      widen_panel(args.panels + (panel * args.padded_k + first) * kColumns, k, weight);
      multiply_words_avx2({.positions = 1,
                           .rows_of_words = rows,
                           .position_stride = 0,
                           .row_stride = kRowStride,
                           .odd = k / 2,
                           .rows = &all_rows,
                           .weight = weight,
                           .weight_position_stride = 0,
                           .quads = k / 4,
                           .add = first > 0,
                           .sums = args.sums + panel * args.rows * kColumns,
                           .sums_position_stride = 0});
    }
    first += kDepth;
  } while (first < args.padded_k);
}

void multiply_requantized_avx2(const MultiplyRequantizedArgs& args) {
  constexpr int64_t kRowWords = 60 * 1024;  // so that rows stay in the second cache
  const int64_t k = args.padded_k, row_stride = k + 32;  // rows do not compete for the same lines of the cache
  alignas(64) int16_t rows[kRowWords], weight[kRequantizedDepth * kColumns];
  const RequantizedTile<Avx2Simd> requantize(args.terms, args.to);
  const int64_t most_rows = kRowWords / row_stride, parts = (args.rows + most_rows - 1) / most_rows;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = args.rows * part / parts, count = args.rows * (part + 1) / parts - first;
    for (int64_t row = 0; row < count; ++row) widen_row(args.a + (first + row) * args.a_stride, k, rows + row * row_stride);
    for (int64_t column = 0; column < args.columns; column += kColumns) {
      widen_panel(args.panels + column * k, k, weight);
      const int64_t columns = args.columns - column < kColumns ? args.columns - column : kColumns;
      const Avx2RequantizedPanel panel{{requantize, column, columns}, args.terms.start + column, 0};
      for_each_tile_height<kTileRows>(count, [&]<int kRows>(int64_t row, int64_t tiles) {
        const auto accumulate = columns > kColumns / 2 ? accumulate_tiles<kRows, 2, Avx2RequantizedSums>
                                                       : accumulate_tiles<kRows, 1, Avx2RequantizedSums>;
        accumulate(rows + row * row_stride, row_stride, k / 2, weight, (args.k + 3) / 4, tiles, {panel, first + row});
      });
    }
  }
}

}  // namespace octet::kernels
