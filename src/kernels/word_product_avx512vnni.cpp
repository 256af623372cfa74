#include <immintrin.h>

#include <cstring>

#include "kernels/word_product_impl.h"

namespace octet::kernels {
namespace {

/// Tiles of rows x 16 columns that follow each other.
template <int kRows>
[[gnu::noinline]] void accumulate_tiles(const int16_t* a, int64_t a_stride, int64_t odd, const int16_t* weight, int64_t quads,
                                        bool add, int64_t tiles, int32_t* sums) {
  for (; tiles > 0; --tiles, a += kRows * a_stride, sums += kRows * kColumns) {
    __m512i acc[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) acc[r] = add ? _mm512_load_si512(sums + r * kColumns) : _mm512_setzero_si512();
    const int16_t* b = weight;
    for (const int16_t *from = a, *const end = a + 2 * quads; from < end; from += 2) {
#pragma GCC unroll 2
      for (const bool is_odd : {false, true}) {
        asm("" : "+r"(a_stride));  // keeps compilers from making a pointer for each row, for which there are too few registers
        const int16_t* const pairs = is_odd ? from + odd : from;
        const __m512i weights = _mm512_load_si512(b);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
          int32_t pair;
          memcpy(&pair, pairs + r * a_stride, sizeof(pair));
          acc[r] = _mm512_dpwssd_epi32(acc[r], _mm512_set1_epi32(pair), weights);
        }
        b += 2 * kColumns;
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) _mm512_store_si512(sums + r * kColumns, acc[r]);
  }
}

}  // namespace

void multiply_words_avx512_vnni(const WordProductArgs& args) {
  multiply_words<12>(args, [&]<int kRows>(const int16_t* words, const int16_t* weight, int64_t tiles, int32_t* sums) {
    accumulate_tiles<kRows>(words, args.row_stride, args.odd, weight, args.quads, args.add, tiles, sums);
  });
}

}  // namespace octet::kernels
