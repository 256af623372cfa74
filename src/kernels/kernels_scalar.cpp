#include "kernels/simd_kernels.h"
#include "kernels/simd_scalar.h"

namespace octet::kernels {
namespace {

void accumulate(const AccumulateArgs& args) {
  for (int64_t panel = 0; panel < args.panel_count; ++panel) {
    const int8_t* weights = args.panels + panel * args.padded_k * kColumns;
    for (int64_t row = 0; row < args.rows; ++row) {
      const uint8_t* a = args.a + row * args.a_stride;
      int32_t sums[kColumns] = {};
      for (int64_t k = 0; k < args.padded_k; ++k) {
        const int8_t* b = weights + k / 4 * 4 * kColumns + k % 4;
        for (int64_t column = 0; column < kColumns; ++column) sums[column] += a[k] * b[column * 4];
      }
      for (int64_t column = 0; column < kColumns; ++column) {
        args.sums[(panel * args.rows + row) * kColumns + column] = sums[column];
      }
    }
  }
}

}  // namespace

const KernelTable& scalar_kernels() {
  static constexpr KernelTable table = simd_kernels<ScalarSimd>(Isa::scalar, accumulate);
  return table;
}

}  // namespace octet::kernels
