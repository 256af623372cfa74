#include <immintrin.h>

#include "peak.h"

namespace bench {

/// The widest exact sums of bytes that AVX2 has: four products in 16 bits, then widened. Ten sums go side by side.
double peak_avx2(int64_t iterations) {
  constexpr int kSums = 10;
  __m256i sums[kSums] = {}, a = _mm256_set1_epi8(1), b = _mm256_set1_epi8(2), t, u;
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 16
    for (auto& sum : sums) {
      asm volatile(
          "vpmaddubsw %[a], %[b], %[t]\n\t"
          "vpmaddubsw %[b], %[a], %[u]\n\t"
          "vpaddw %[u], %[t], %[t]\n\t"
          "vpmaddwd %[ones], %[t], %[t]\n\t"
          "vpaddd %[t], %[sum], %[sum]"
          : [sum] "+x"(sum), [t] "=&x"(t), [u] "=&x"(u)
          : [a] "x"(a), [b] "x"(b), [ones] "x"(ones));
    }
  }
  return 64.0 * kSums * static_cast<double>(iterations);
}

}  // namespace bench
