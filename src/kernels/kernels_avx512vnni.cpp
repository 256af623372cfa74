#include <immintrin.h>

#include <cstring>

#include "kernels/attention_impl.h"
#include "kernels/binary_impl.h"
#include "kernels/depthwise_impl.h"
#include "kernels/depthwise_quads.h"
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
  int64_t rows;  ///< from one panel to the next

  __m512i start(int64_t, int64_t) const { return _mm512_setzero_si512(); }
  template <int Rows, int Panels>
  [[gnu::always_inline]] void operator()(int64_t row, int64_t column, int64_t, __m512i (&acc)[Rows][Panels]) const {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < Panels; ++p) _mm512_store_si512(sums + (column + p * kColumns) * rows + (row + r) * kColumns, acc[r][p]);
    }
  }
};
/// ... or requantized.
using RequantizedSums = RequantizedTile<Avx512VnniSimd>;

/// Some rows, and all panels that they meet.
struct Rows {
  const uint8_t* a;
  int64_t a_stride;
  const int8_t* panels;
  int64_t padded_k;
  int64_t columns;
};

/// Rows x Panels * 16 columns: vpdpbusd adds four products of u8 and s8 to an int32 lane, without saturation.
template <int kRows, int kPanels, class Finish>
[[gnu::noinline]] void accumulate_tile(const Rows& rows, int64_t row, int64_t column, const Finish& finish) {
  const int64_t panel_bytes = rows.padded_k * kColumns;
  int64_t a_stride = rows.a_stride;
  const uint8_t* a = rows.a + row * a_stride;
  const int8_t* b = rows.panels + column * rows.padded_k;
  __m512i acc[kRows][kPanels];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) acc[r][p] = finish.start(row + r, column + p * kColumns);
  }
  for (const uint8_t* const end = a + rows.padded_k; a < end; a += 4, b += 4 * kColumns) {
    hide(a_stride);
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
  // As values of their own: what finish() has no registers for is not to cost the loop its registers.
  __m512i sums[kRows][kPanels];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) asm("" : "=v"(sums[r][p]) : "0"(acc[r][p]));
  }
  const int64_t left = rows.columns - column;
  finish(row, column, left < kPanels * kColumns ? left : kPanels * kColumns, sums);
}

template <class Finish>
void multiply(const Rows& rows, int64_t count, const Finish& finish) {
  constexpr int kTileRows = 12;
  for (int64_t column = 0; column < rows.columns; column += 2 * kColumns) {
    const bool two = column + kColumns < rows.columns;
    for_each_row_tile<kTileRows>(count, [&]<int kRows>(int64_t row) {
      (two ? accumulate_tile<kRows, 2, Finish> : accumulate_tile<kRows, 1, Finish>)(rows, row, column, finish);
    });
  }
}

void accumulate(const AccumulateArgs& args) {
  multiply({args.a, args.a_stride, args.panels, args.padded_k, args.panel_count * kColumns}, args.rows,
           StoredSums{args.sums, args.rows});
}

void multiply_requantized(const MultiplyRequantizedArgs& args) {
  multiply({args.a, args.a_stride, args.panels, args.padded_k, args.columns}, args.rows, RequantizedSums(args.terms, args.to));
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
    kernels.depthwise_quads = depthwise_quads_avx512_vnni;
    kernels.add_u8 = add_pairs<Avx512VnniSimd, uint8_t>;
    kernels.add_s8 = add_pairs<Avx512VnniSimd, int8_t>;
    kernels.multiply_u8 = multiply_pairs<Avx512VnniSimd, uint8_t>;
    kernels.multiply_s8 = multiply_pairs<Avx512VnniSimd, int8_t>;
    kernels.int4_accumulate = int4_accumulate<Avx512VnniSimd>;
    kernels.attention_block = attention_block<Avx512VnniSimd>;
    kernels.clipped = nullptr;  // vpdpbusd does not saturate
    kernels.winograd = &avx512_vnni_winograd_kernels;
    return kernels;
  }();
  return table;
}

}  // namespace octet::kernels
