#include <immintrin.h>

#include <cstring>

#include "kernels/word_product_impl.h"

namespace octet::kernels {
namespace {

/// acc0 += a * b0, acc1 += a * b1, for pairs of 16-bit integers. In assembly, since compilers put accumulators on the stack here.
[[gnu::always_inline]] inline void multiply_add(__m256i& acc0, __m256i& acc1, const int16_t* a, __m256i b0, __m256i b1) {
  __m256i t, u;
  asm("vpbroadcastd %[a], %[u]\n\t"
      "vpmaddwd %[b0], %[u], %[t]\n\t"
      "vpmaddwd %[b1], %[u], %[u]\n\t"
      "vpaddd %[t], %[acc0], %[acc0]\n\t"
      "vpaddd %[u], %[acc1], %[acc1]"
      : [acc0] "+x"(acc0), [acc1] "+x"(acc1), [t] "=&x"(t), [u] "=&x"(u)
      : [a] "m"(*reinterpret_cast<const int16_t(*)[2]>(a)), [b0] "x"(b0), [b1] "x"(b1));
}

/// Rows x 16 columns.
template <int Rows>
[[gnu::noinline]] void accumulate_tile(const int16_t* a, int64_t a_stride, int64_t odd, const int16_t* b, int64_t quads, bool add,
                                       int32_t* sums) {
  __m256i acc[Rows][2];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      acc[r][v] = add ? _mm256_load_si256(reinterpret_cast<const __m256i*>(sums + r * kColumns) + v) : _mm256_setzero_si256();
    }
  }
  const auto load = [](const int16_t* p) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); };
  for (const int16_t* const end = a + 2 * quads; a < end; a += 2) {
#pragma GCC unroll 2
    for (const bool is_odd : {false, true}) {
      asm("" : "+r"(a_stride));  // keeps compilers from making a pointer for each row, for which there are too few registers
      const int16_t* const from = is_odd ? a + odd : a;
      const __m256i b0 = load(b), b1 = load(b + kColumns);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) multiply_add(acc[r][0], acc[r][1], from + r * a_stride, b0, b1);
      b += 2 * kColumns;
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) _mm256_store_si256(reinterpret_cast<__m256i*>(sums + r * kColumns) + v, acc[r][v]);
  }
}

}  // namespace

void multiply_words_avx2(const WordProductArgs& args) {
  multiply_words<6>(args, [&]<int Rows>(const int16_t* words, const int16_t* weight, int32_t* sums) {
    accumulate_tile<Rows>(words, args.row_stride, args.odd, weight, args.quads, args.add, sums);
  });
}

}  // namespace octet::kernels
