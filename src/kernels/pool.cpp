#include <octet/kernels/pool.h>

#include <algorithm>
#include <string_view>

#include "kernels/check.h"
#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

int64_t length(const PoolWindow& window) { return std::max<int64_t>(window.end - window.begin, 0); }

void check_windows(const PoolGeometry& geometry, std::string_view function) {
  for (size_t d = 0; d < 3; ++d) {
    for (const PoolWindow& window : geometry.windows[d]) {
      check(window.step > 0 && (length(window) == 0 || (0 <= window.begin && window.end <= geometry.size[d])), function,
            ": a window ", window.begin, " .. ", window.end, " with step ", window.step, " is not within the ", geometry.size[d],
            " places of dimension ", d);
    }
  }
}

int64_t longest(const std::vector<PoolWindow>& windows) {
  int64_t most = 0;
  for (const PoolWindow& window : windows) most = std::max(most, length(window));
  return most;
}

/// A pool over the whole image is one over a single row.
PoolGeometry flattened(const PoolGeometry& geometry) {
  PoolWindow all{0, 1, 1, 1};
  for (size_t d = 0; d < 3; ++d) {
    const auto& windows = geometry.windows[d];
    if (windows.size() != 1 || windows[0].step != 1 || length(windows[0]) != geometry.size[d]) return geometry;
    all.end *= geometry.size[d];
    all.divisor *= windows[0].divisor;
  }
  const std::vector<PoolWindow> one{{}};
  return {geometry.images, geometry.channels, {1, 1, all.end}, {one, one, {all}}};
}

/// Calls the kernel for each row of outputs, with what is the same for all of them in `common`.
template <class T, class Scratch>
void run(const T* x, const PoolGeometry& given, PoolRow<T> common, T of_nothing, T* y, ParallelFor parallel_for,
         void (*kernel)(const PoolRow<T>& row, Scratch* scratch, T* out)) {
  const PoolGeometry geometry = flattened(given);
  const auto& [depths, heights, widths] = geometry.windows;
  const auto [depth, height, width] = geometry.size;
  const int64_t row_size = width * geometry.channels;
  const auto out_depth = static_cast<int64_t>(depths.size()), out_height = static_cast<int64_t>(heights.size());
  const auto out_row_size = static_cast<int64_t>(widths.size()) * geometry.channels;
  common.width = width;
  common.channels = geometry.channels;
  common.windows = widths.data();
  common.outputs = static_cast<int64_t>(widths.size());
  const int64_t most_rows = longest(depths) * longest(heights);
  const int64_t grain_size = rows_per_task(row_size * most_rows);
  parallel_for(0, geometry.images * out_depth * out_height, grain_size, [&](int64_t begin, int64_t end) {
    std::vector<const T*> rows;
    std::vector<Scratch> scratch(most_rows > 1 ? row_size : 0);
    for (int64_t item = begin; item < end; ++item) {
      const PoolWindow& of_depth = depths[item / out_height % out_depth];
      const PoolWindow& of_height = heights[item % out_height];
      const T* image = x + item / (out_depth * out_height) * depth * height * row_size;
      rows.clear();
      for (int64_t d = of_depth.begin; d < of_depth.end; d += of_depth.step) {
        for (int64_t h = of_height.begin; h < of_height.end; h += of_height.step)
          rows.push_back(image + (d * height + h) * row_size);
      }
      T* out = y + item * out_row_size;
      if (rows.empty()) {
        std::fill_n(out, out_row_size, of_nothing);
        continue;
      }
      PoolRow<T> row = common;
      row.rows = rows.data();
      row.row_count = static_cast<int64_t>(rows.size());
      row.divisor = of_depth.divisor * of_height.divisor;
      kernel(row, scratch.data(), out);
    }
  });
}

template <class T>
PoolRow<T> limits() {
  PoolRow<T> row{};
  row.lowest = std::numeric_limits<T>::min();
  row.highest = std::numeric_limits<T>::max();
  return row;
}

template <class T>
void max_pool(const T* x, const PoolGeometry& geometry, T* y, ParallelFor parallel_for,
              void (*kernel)(const PoolRow<T>&, T*, T*)) {
  check_windows(geometry, "max_pool");
  const PoolRow<T> row = limits<T>();
  run(x, geometry, row, row.lowest, y, parallel_for, kernel);
}

template <class T>
void average_pool(const T* x, const PoolGeometry& geometry, int32_t zero_point, T* y, ParallelFor parallel_for,
                  void (*kernel)(const PoolRow<T>&, int32_t*, T*)) {
  check_windows(geometry, "average_pool");
  const int64_t size = longest(geometry.windows[0]) * longest(geometry.windows[1]) * longest(geometry.windows[2]);
  check(size <= kMaxAverageSize, "average_pool: a window has ", size, " values, but their sum fits int32 for up to ",
        kMaxAverageSize);
  PoolRow<T> row = limits<T>();
  row.zero_point = zero_point;
  run(x, geometry, row, static_cast<T>(zero_point), y, parallel_for, kernel);
}

}  // namespace

void max_pool(const uint8_t* x, const PoolGeometry& geometry, uint8_t* y, ParallelFor parallel_for) {
  max_pool(x, geometry, y, parallel_for, kernels().max_pool_row_u8);
}

void max_pool(const int8_t* x, const PoolGeometry& geometry, int8_t* y, ParallelFor parallel_for) {
  max_pool(x, geometry, y, parallel_for, kernels().max_pool_row_s8);
}

void average_pool(const uint8_t* x, const PoolGeometry& geometry, int32_t zero_point, uint8_t* y, ParallelFor parallel_for) {
  average_pool(x, geometry, zero_point, y, parallel_for, kernels().average_pool_row_u8);
}

void average_pool(const int8_t* x, const PoolGeometry& geometry, int32_t zero_point, int8_t* y, ParallelFor parallel_for) {
  average_pool(x, geometry, zero_point, y, parallel_for, kernels().average_pool_row_s8);
}

}  // namespace octet::kernels
