#include <octet/kernels/elementwise.h>

#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {

void sigmoid(const float* x, int64_t n, float* y, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  parallel_for(0, n, kElementsPerTask, [&](int64_t begin, int64_t end) { table.sigmoid(x + begin, end - begin, y + begin); });
}

void tanh(const float* x, int64_t n, float* y, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  parallel_for(0, n, kElementsPerTask, [&](int64_t begin, int64_t end) { table.tanh(x + begin, end - begin, y + begin); });
}

void gelu(const float* x, int64_t n, float* y, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  parallel_for(0, n, kElementsPerTask, [&](int64_t begin, int64_t end) { table.gelu(x + begin, end - begin, y + begin); });
}

}  // namespace octet::kernels
