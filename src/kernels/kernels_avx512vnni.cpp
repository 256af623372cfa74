#include <immintrin.h>

#include <cstring>

#include "kernels/attention_impl.h"
#include "kernels/binary_impl.h"
#include "kernels/depthwise_impl.h"
#include "kernels/depthwise_rows.h"
#include "kernels/gemm_finish_impl.h"
#include "kernels/int4_gemm_impl.h"
#include "kernels/kernel_table.h"
#include "kernels/requantized_tile_impl.h"
#include "kernels/row_tiles.h"
#include "kernels/simd_avx512vnni.h"
#include "kernels/winograd_kernels.h"

namespace octet::kernels {
namespace {

/// Keeps the compiler from making a pointer for each row, for which there are too few registers.
[[gnu::always_inline]] inline void hide(int64_t& stride) { asm("" : "+r"(stride)); }

/// What becomes of a tile's sums: they are stored ...
struct StoredSums {
  int32_t* sums;
  int64_t panel_rows;  ///< from one panel to the next

  __m512i start(int) const { return _mm512_setzero_si512(); }
  template <int kRows, int kPanels>
  [[gnu::always_inline]] void operator()(__m512i (&acc)[kRows][kPanels]) const {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) _mm512_store_si512(sums + (p * panel_rows + r) * kColumns, acc[r][p]);
    }
  }
};

/// ... or requantized.
struct RequantizedSums {
  const RequantizedColumnRange<Avx512VnniSimd>& range;
  int64_t row;

  __m512i start(int panel) const { return range.requantize.start(range.column + panel * kColumns); }
  template <int kRows, int kPanels>
  [[gnu::always_inline]] void operator()(__m512i (&acc)[kRows][kPanels]) const {
    // As values of their own: what has no register here is not to cost the loop its registers.
    __m512i sums[kRows][kPanels];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) asm("" : "=v"(sums[r][p]) : "0"(acc[r][p]));
    }
    range.requantize(row, range.column, range.columns, sums);
  }
};

/// Weights that the next tiles meet, of which each tile asks the memory for a part. Tiles of few rows wait for the memory anyway.
constexpr int kPrefetchingRows = 8;
struct Prefetch {
  const int8_t* from;
  int64_t step;  ///< bytes, for each four of k
};

/// Rows x Panels * 16 columns: vpdpbusd adds four products of u8 and s8 to an int32 lane, without saturation.
template <int kRows, int kPanels, class Finish>
[[gnu::noinline]] void accumulate_tile(const uint8_t* a, int64_t a_stride, int64_t k, const int8_t* b, int64_t panel_bytes,
                                       Finish finish, Prefetch prefetch) {
  __m512i acc[kRows][kPanels];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) acc[r][p] = finish.start(p);
  }
  for (const uint8_t* const end = a + k; a < end; a += 4, b += 4 * kColumns) {
    hide(a_stride);
    if constexpr (kRows >= kPrefetchingRows) {
      _mm_prefetch(prefetch.from, _MM_HINT_T0);
      prefetch.from += prefetch.step;
    }
    __m512i weights[kPanels];
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) weights[p] = _mm512_load_si512(b + p * panel_bytes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      int32_t four;
      memcpy(&four, a + r * a_stride, sizeof(four));
      const __m512i bytes = _mm512_set1_epi32(four);
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) acc[r][p] = _mm512_dpbusd_epi32(acc[r][p], bytes, weights[p]);
    }
  }
  finish(acc);
}

/// Multiplies rows with panels by tiles. `finish(column, columns)` gives a function of a row: what becomes of a tile that starts
/// there.
template <class Finish>
void multiply(const uint8_t* a, int64_t a_stride, int64_t rows, int64_t k, const int8_t* panels, int64_t columns,
              int64_t padded_k, const Finish& finish) {
  constexpr int kTileRows = 12;
  const int64_t panel_bytes = padded_k * kColumns;
  for (int64_t column = 0; column < columns; column += 2 * kColumns) {
    const int64_t left = columns - column;
    const auto finish_row = finish(column, left < 2 * kColumns ? left : 2 * kColumns);
    using Sums = decltype(finish_row(0));
    const int8_t* const b = panels + column / kColumns * panel_bytes;
    const int64_t next_panels = left > 3 * kColumns ? 2 : left > 2 * kColumns ? 1 : 0;
    for_each_row_tile<kTileRows>(rows, [&]<int kRows>(int64_t row) {
      const auto tile = left > kColumns ? accumulate_tile<kRows, 2, Sums> : accumulate_tile<kRows, 1, Sums>;
      tile(a + row * a_stride, a_stride, k, b, panel_bytes, finish_row(row),
           {b + 2 * panel_bytes + next_panels * panel_bytes * row / rows, next_panels * 4 * kColumns * kRows / rows});
    });
  }
}

void accumulate(const AccumulateArgs& args) {
  multiply(args.a, args.a_stride, args.rows, args.padded_k, args.panels, args.panel_count * kColumns, args.padded_k,
           [&](int64_t column, int64_t) {
             return [&args, sums = args.sums + column * args.rows](int64_t row) {
               return StoredSums{sums + row * kColumns, args.rows};
             };
           });
}

void multiply_requantized(const MultiplyRequantizedArgs& args) {
  const RequantizedTile<Avx512VnniSimd> requantize(args.terms, args.to);
  multiply(args.a, args.a_stride, args.rows, args.k, args.panels, args.columns, args.padded_k,
           [&](int64_t column, int64_t columns) {
             return [range = RequantizedColumnRange<Avx512VnniSimd>{requantize, column, columns}](int64_t row) {
               return RequantizedSums{range, row};
             };
           });
}

}  // namespace

const KernelTable& avx512_vnni_kernels() {
  // Everything but products and what is done with their sums is AVX2's.
  static const KernelTable table = [] {
    KernelTable kernels = avx2_kernels();
    kernels.isa = Isa::avx512_vnni;
    kernels.accumulate = accumulate;
    kernels.finish_float = finish_float<Avx512VnniSimd>;
    kernels.finish_int32 = finish_int32<Avx512VnniSimd>;
    kernels.finish_requantized = finish_requantized<Avx512VnniSimd>;
    kernels.multiply_requantized = multiply_requantized;
    kernels.depthwise = depthwise<Avx512VnniSimd>;
    kernels.depthwise_rows = &avx512_vnni_depthwise_rows;
    kernels.requantize_u8 = requantize<Avx512VnniSimd, uint8_t>;
    kernels.requantize_s8 = requantize<Avx512VnniSimd, int8_t>;
    kernels.add_u8 = add_pairs<Avx512VnniSimd, uint8_t>;
    kernels.add_s8 = add_pairs<Avx512VnniSimd, int8_t>;
    kernels.multiply_u8 = multiply_pairs<Avx512VnniSimd, uint8_t>;
    kernels.multiply_s8 = multiply_pairs<Avx512VnniSimd, int8_t>;
    kernels.int4_accumulate = int4_accumulate<Avx512VnniSimd>;
    kernels.attention_block = attention_block<Avx512VnniSimd>;
    kernels.clipped = nullptr;  // vpdpbusd does not saturate
    kernels.clipped_weights = nullptr;
    kernels.winograd = &avx512_vnni_winograd_kernels;
    return kernels;
  }();
  return table;
}

}  // namespace octet::kernels
