#include <cstdint>

using Vector [[gnu::vector_size(16)]] = int32_t;

/// A tile of more sums than any processor here has registers: what hot_loops_test.py must find.
void accumulate_tile(const int32_t* a, const Vector* b, int64_t k, Vector* sums) {
  constexpr int kSums = 48;
  Vector acc[kSums] = {};
  for (; k > 0; --k, a += kSums, ++b) {
#pragma GCC unroll 48
    for (int i = 0; i < kSums; ++i) acc[i] += a[i] * *b;
  }
  for (int i = 0; i < kSums; ++i) sums[i] = acc[i];
}
