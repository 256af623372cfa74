#include <octet/kernels/softmax.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/elementwise_impl.h"
#include "kernels/simd_scalar.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

constexpr double kOne = 4'294'967'296.0;  // 2^32 stands for 1

std::array<int64_t, 256> exponentials(float scale) {
  std::array<int64_t, 256> table;
  for (int d = 0; d < 256; ++d) {
    const float e = exp<ScalarSimd>(-std::min(scale * static_cast<float>(d), 105.0f));
    table[d] = static_cast<int64_t>(std::nearbyint(kOne * e));
  }
  return table;
}

}  // namespace

template <class Quantized>
void softmax(const Quantized* q, int64_t rows, int64_t columns, float scale, float* y, ParallelFor parallel_for) {
  if (columns == 0) return;
  const std::array<int64_t, 256> table = exponentials(scale);
  parallel_for(0, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const Quantized* const x = q + row * columns;
      const int greatest = *std::max_element(x, x + columns);
      int64_t sum = 0;
      for (int64_t i = 0; i < columns; ++i) sum += table[greatest - x[i]];
      const auto divisor = static_cast<float>(sum);
      for (int64_t i = 0; i < columns; ++i) y[row * columns + i] = static_cast<float>(table[greatest - x[i]]) / divisor;
    }
  });
}

template void softmax(const uint8_t*, int64_t, int64_t, float, float*, ParallelFor);
template void softmax(const int8_t*, int64_t, int64_t, float, float*, ParallelFor);

}  // namespace octet::kernels
