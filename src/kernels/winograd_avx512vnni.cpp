#include <immintrin.h>

#include "kernels/row_tiles.h"
#include "kernels/winograd_impl.h"

namespace octet::kernels {
namespace {

struct Avx512VnniIsa {
  static constexpr int kBytes = 64;
};

/// Rows tiles x 16 columns.
template <int Rows>
[[gnu::noinline]] void accumulate_tile(const int16_t* a, int64_t a_stride, int64_t odd, const int16_t* b, int64_t quads, bool add,
                                       int32_t* sums) {
  __m512i acc[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) acc[r] = add ? _mm512_load_si512(sums + r * kColumns) : _mm512_setzero_si512();
  for (const int16_t* const end = a + 2 * quads; a < end; a += 2) {
#pragma GCC unroll 2
    for (const bool is_odd : {false, true}) {
      asm("" : "+r"(a_stride));  // keeps compilers from making a pointer for each row, for which there are too few registers
      const int16_t* const from = is_odd ? a + odd : a;
      const __m512i weights = _mm512_load_si512(b);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        int32_t pair;
        memcpy(&pair, from + r * a_stride, sizeof(pair));
        acc[r] = _mm512_dpwssd_epi32(acc[r], _mm512_set1_epi32(pair), weights);
      }
      b += 2 * kColumns;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) _mm512_store_si512(sums + r * kColumns, acc[r]);
}

void multiply(const WinogradProductArgs& args) {
  for (int64_t position = 0; position < args.positions; ++position) {
    const int16_t* const input = args.input + position * args.input_position_stride;
    const int16_t* const weight = args.weight + position * args.weight_position_stride;
    int32_t* const sums = args.sums + position * args.tiles * kColumns;
    for_each_row_tile<12>(args.tiles, [&]<int Rows>(int64_t tile) {
      accumulate_tile<Rows>(input + tile * args.input_stride, args.input_stride, args.odd_channels, weight, args.quads, args.add,
                            sums + tile * kColumns);
    });
  }
}

}  // namespace

const WinogradKernels avx512_vnni_winograd_kernels{
    .of_2x2 = Winograd<Avx512VnniIsa, 2>::transforms,
    .of_4x4 = Winograd<Avx512VnniIsa, 4>::transforms,
    .multiply = multiply,
    .costs = {.product = 2.0, .weight = 7.5, .input = 15.0, .output = 30.0},
};

}  // namespace octet::kernels
