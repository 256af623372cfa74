#pragma once

#include <octet/kernels/parallel.h>

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

namespace octet::kernels {

/// What one output takes along one dimension: the places begin, begin + step, ... below end, all of them in the input.
struct PoolWindow {
  int64_t begin = 0;
  int64_t end = 1;
  int64_t step = 1;
  int64_t divisor = 1;  ///< of averages, whose step is 1: the product over the three dimensions divides the sum
};

/// Which elements of an image each output is made of: a window for each output index, for depth, height and width. An image of
/// fewer dimensions has depth 1, or depth and height 1, with one window {0, 1}.
struct PoolGeometry {
  int64_t images = 0;
  int64_t channels = 1;  ///< values side by side at each place: all channels of an image that is channels last, or 1
  std::array<int64_t, 3> size{1, 1, 1};
  std::array<std::vector<PoolWindow>, 3> windows;
};

// Pools over images as they lie in memory, [images][depth][height][width][channels], to
// [images][windows[0]][windows[1]][windows[2]][channels].
// @throws std::invalid_argument for windows that reach beyond the image

/// The largest value of each window; the lowest of the type where a window has none.
void max_pool(const uint8_t* x, const PoolGeometry& geometry, uint8_t* y, ParallelFor parallel_for = serial_for);
void max_pool(const int8_t* x, const PoolGeometry& geometry, int8_t* y, ParallelFor parallel_for = serial_for);

/// How many values a window of average_pool() may have: their sum fits int32.
constexpr int64_t kMaxAverageSize = std::numeric_limits<int32_t>::max() / 255;

/// `zero_point + Σ (x - zero_point) / divisor` of each window, rounded once, halves to even, and clamped to the type. The
/// zero point where a window has no value.
/// @throws std::invalid_argument also for windows of more than kMaxAverageSize values
void average_pool(const uint8_t* x, const PoolGeometry& geometry, int32_t zero_point, uint8_t* y,
                  ParallelFor parallel_for = serial_for);
void average_pool(const int8_t* x, const PoolGeometry& geometry, int32_t zero_point, int8_t* y,
                  ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
