#include <immintrin.h>

#include <cstring>

#include "kernels/attention_impl.h"
#include "kernels/binary_impl.h"
#include "kernels/depthwise_impl.h"
#include "kernels/depthwise_quads.h"
#include "kernels/gemm_finish_impl.h"
#include "kernels/int4_gemm_impl.h"
#include "kernels/kernel_table.h"
#include "kernels/simd_avx512vnni.h"
#include "kernels/winograd_kernels.h"

namespace octet::kernels {
namespace {

/// Keeps the compiler from making a pointer for each row, for which there are too few registers.
[[gnu::always_inline]] inline void hide(int64_t& stride) { asm("" : "+r"(stride)); }

/// Rows x Panels * 16 columns: vpdpbusd adds four products of u8 and s8 to an int32 lane, without saturation.
template <int Rows, int Panels>
void accumulate_tile(const uint8_t* a, int64_t a_stride, const int8_t* b, int64_t padded_k, int32_t* sums, int64_t panel_rows) {
  const int64_t panel_bytes = padded_k * kColumns;
  __m512i acc[Rows][Panels];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < Panels; ++p) acc[r][p] = _mm512_setzero_si512();
  }
  for (int64_t k = 0; k < padded_k; k += 4, a += 4, b += 4 * kColumns) {
    hide(a_stride);
    __m512i weights[Panels];
#pragma GCC unroll 2
    for (int p = 0; p < Panels; ++p) weights[p] = _mm512_load_si512(b + p * panel_bytes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      int32_t four;
      memcpy(&four, a + r * a_stride, sizeof(four));
      const __m512i bytes = _mm512_set1_epi32(four);
#pragma GCC unroll 2
      for (int p = 0; p < Panels; ++p) acc[r][p] = _mm512_dpbusd_epi32(acc[r][p], bytes, weights[p]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < Panels; ++p) _mm512_store_si512(sums + (p * panel_rows + r) * kColumns, acc[r][p]);
  }
}

using Tile = void (*)(const uint8_t*, int64_t, const int8_t*, int64_t, int32_t*, int64_t);
constexpr int64_t kTileRows = 12;

template <int Panels>
constexpr Tile kTiles[kTileRows] = {accumulate_tile<1, Panels>,  accumulate_tile<2, Panels>,  accumulate_tile<3, Panels>,
                                    accumulate_tile<4, Panels>,  accumulate_tile<5, Panels>,  accumulate_tile<6, Panels>,
                                    accumulate_tile<7, Panels>,  accumulate_tile<8, Panels>,  accumulate_tile<9, Panels>,
                                    accumulate_tile<10, Panels>, accumulate_tile<11, Panels>, accumulate_tile<12, Panels>};

void accumulate(const AccumulateArgs& args) {
  for (int64_t panel = 0; panel < args.panel_count; panel += 2) {
    const Tile* tiles = panel + 1 < args.panel_count ? kTiles<2> : kTiles<1>;
    const int8_t* const b = args.panels + panel * args.padded_k * kColumns;
    int32_t* const sums = args.sums + panel * args.rows * kColumns;
    int64_t row = 0;
    for (int64_t left = (args.rows + kTileRows - 1) / kTileRows; left > 0; --left) {
      const int64_t rows = (args.rows - row) / left;  // tiles of even height
      tiles[rows - 1](args.a + row * args.a_stride, args.a_stride, b, args.padded_k, sums + row * kColumns, args.rows);
      row += rows;
    }
  }
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
