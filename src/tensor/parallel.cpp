#include <octet/tensor/parallel.h>

#include <ATen/Parallel.h>

namespace octet {

void parallel_for(int64_t begin, int64_t end, int64_t grain_size, kernels::RangeBody body) {
  at::parallel_for(begin, end, grain_size, [&](int64_t from, int64_t to) { body(from, to); });
}

}  // namespace octet
