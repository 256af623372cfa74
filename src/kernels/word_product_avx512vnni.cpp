#include <immintrin.h>

#include <cstring>

#include "kernels/word_product_impl.h"

namespace octet::kernels {
namespace {

/// Rows x 16 columns.
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

}  // namespace

void multiply_words_avx512_vnni(const WordProductArgs& args) {
  multiply_words<12>(args, [&]<int Rows>(const int16_t* words, const int16_t* weight, int32_t* sums) {
    accumulate_tile<Rows>(words, args.row_stride, args.odd, weight, args.quads, args.add, sums);
  });
}

}  // namespace octet::kernels
