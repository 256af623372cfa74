#pragma once

#include <octet/kernels/parallel.h>

namespace octet {

/// at::parallel_for, as the kernels take it: octet::kernels::quantize(x, n, qparams, q, octet::parallel_for).
void parallel_for(int64_t begin, int64_t end, int64_t grain_size, kernels::RangeBody body);

}  // namespace octet
