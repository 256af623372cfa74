#pragma once

#include <algorithm>
#include <cstdint>

namespace octet::kernels {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Work smaller than this is not worth a thread: elements of elementwise kernels, multiply-adds of products.
constexpr int64_t kElementsPerTask = 32'768;
constexpr int64_t kMacsPerTask = 1 << 20;
/// Those of depthwise convolutions take longer. And one that stayed in a thread would fetch half of its input from the other threads'
/// caches, where the convolution before it left it.
constexpr int64_t kDepthwiseMacsPerTask = kMacsPerTask / 8;

/// How many items make a task, if each is so much work.
constexpr int64_t items_per_task(int64_t work_per_task, int64_t work_per_item) {
  return std::max<int64_t>(1, work_per_task / std::max<int64_t>(work_per_item, 1));
}

/// The same for rows of so many elements.
constexpr int64_t rows_per_task(int64_t columns) { return items_per_task(kElementsPerTask, columns); }

}  // namespace octet::kernels
