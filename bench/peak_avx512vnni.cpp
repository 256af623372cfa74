#include <immintrin.h>

#include "peak.h"

namespace bench {

double peak_avx512vnni(int64_t iterations) {
  constexpr int kSums = 16;
  __m512i sums[kSums] = {}, a = _mm512_set1_epi8(1);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 16
    for (auto& sum : sums) asm volatile("vpdpbusd %[a], %[a], %[sum]" : [sum] "+v"(sum) : [a] "v"(a));
  }
  return 64.0 * kSums * static_cast<double>(iterations);
}

}  // namespace bench
