#include "kernels/clipped_kernels.h"

#include <algorithm>

namespace octet::kernels {

void clip_sum(int32_t* values, int n) {
  for (const int32_t sign : {1, -1}) {
    int32_t excess = -kClipLimit;
    for (int i = 0; i < n; ++i) excess += std::max(values[i] * sign, 0);
    while (excess > 0) {
      int32_t& largest = *std::max_element(values, values + n, [&](int32_t a, int32_t b) { return a * sign < b * sign; });
      const int32_t taken = std::min(largest * sign, excess);
      largest -= sign * taken;
      excess -= taken;
    }
  }
}

}  // namespace octet::kernels
