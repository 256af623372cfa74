#include <octet/kernels/pool.h>

#include <string>

#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::error_of;
using test::for_each_isa;
using test::GuardedArray;
using test::Random;
using test::random_integers;

/// n / d to the nearest integer, halves to even, by the definition.
int64_t divided(int64_t n, int64_t d) {
  const int64_t below = n >= 0 ? n / d : -((-n + d - 1) / d);
  const int64_t twice_the_rest = 2 * (n - below * d);
  return below + (twice_the_rest > d || (twice_the_rest == d && below % 2 != 0));
}

/// Both pools of one output in plain loops: the spec.
struct Expected {
  int64_t largest;
  int64_t average;
};

template <class T>
Expected expected(const T* image, const PoolGeometry& geometry, const PoolWindow& depth, const PoolWindow& height,
                  const PoolWindow& width, int64_t channel, int64_t zero_point) {
  constexpr int64_t kLowest = std::numeric_limits<T>::min(), kHighest = std::numeric_limits<T>::max();
  int64_t largest = kLowest, sum = 0, count = 0;
  for (int64_t d = depth.begin; d < depth.end; d += depth.step) {
    for (int64_t h = height.begin; h < height.end; h += height.step) {
      for (int64_t w = width.begin; w < width.end; w += width.step) {
        const int64_t value = image[((d * geometry.size[1] + h) * geometry.size[2] + w) * geometry.channels + channel];
        largest = std::max(largest, value);
        sum += value - zero_point;
        ++count;
      }
    }
  }
  if (count == 0) return {largest, zero_point};
  const int64_t divisor = depth.divisor * height.divisor * width.divisor;
  return {largest, std::clamp(divided(sum + zero_point * divisor, divisor), kLowest, kHighest)};
}

/// Windows of a pool with padding that is left out, or counted, as in torch.nn.
std::vector<PoolWindow> windows(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation = 1,
                                bool count_padding = false) {
  std::vector<PoolWindow> result;
  for (int64_t begin = -padding; begin + (kernel - 1) * dilation < size + padding; begin += stride) {
    int64_t first = begin;
    while (first < 0) first += dilation;
    const int64_t end = std::min(size, begin + (kernel - 1) * dilation + 1);
    result.push_back({first, end, dilation, count_padding ? kernel : std::max<int64_t>(end - first, 0)});
  }
  return result;
}

struct Shape {
  std::string name;
  std::array<int64_t, 3> size;
  std::array<std::vector<PoolWindow>, 3> windows;
  bool dilated = false;
};

const std::vector<PoolWindow> kOne{{}};

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all{
      {"2x2", {1, 6, 8}, {kOne, windows(6, 2, 2, 0), windows(8, 2, 2, 0)}},
      {"3x3 padded", {1, 7, 9}, {kOne, windows(7, 3, 2, 1), windows(9, 3, 1, 1)}},
      {"counting padding", {1, 7, 9}, {kOne, windows(7, 3, 2, 1, 1, true), windows(9, 2, 1, 1, 1, true)}},
      {"3d", {4, 5, 6}, {windows(4, 2, 1, 1), windows(5, 3, 2, 1), windows(6, 2, 2, 0)}},
      {"1d", {1, 1, 40}, {kOne, kOne, windows(40, 5, 3, 2)}},
      {"all", {2, 7, 7}, {windows(2, 2, 1, 0), windows(7, 7, 1, 0), windows(7, 7, 1, 0)}},
      {"other divisor",
       {1, 4, 4},
       {std::vector<PoolWindow>{{0, 1, 1, 3}}, {{0, 4, 1, 1}, {2, 4, 1, 1}}, {{0, 4, 1, 1}, {1, 3, 1, 1}}}},
      {"nothing", {1, 4, 4}, {kOne, {{4, 4, 1, 0}, {0, 4, 1, 4}}, {{0, 2, 1, 2}, {5, 3, 1, 0}}}},
      {"dilated", {1, 9, 9}, {kOne, windows(9, 3, 1, 1, 2), windows(9, 2, 2, 1, 3)}, true},
  };
  return all;
}

template <class T>
void expect_pools() {
  constexpr int32_t kLowest = std::numeric_limits<T>::min(), kHighest = std::numeric_limits<T>::max();
  Random random(31);
  for (const Shape& shape : shapes()) {
    for (const int64_t channels : {1, 3, 16, 33, 300}) {
      const PoolGeometry geometry{3, channels, shape.size, shape.windows};
      const int64_t in = shape.size[0] * shape.size[1] * shape.size[2] * channels;
      const auto [depth, height, width] = geometry.windows;
      const int64_t out = static_cast<int64_t>(depth.size() * height.size() * width.size()) * channels;
      const GuardedArray<T> x(random_integers<T>(random, 3 * in, kLowest, kHighest));
      const GuardedArray<T> largest(3 * out), average(3 * out);
      const int32_t zero_point = kLowest + 100;
      for_each_isa([&] {
        max_pool(x.data(), geometry, largest.data(), test::three_threads_for);
        if (!shape.dilated) average_pool(x.data(), geometry, zero_point, average.data(), test::three_threads_for);
        int64_t i = 0;
        for (int64_t image = 0; image < 3; ++image) {
          for (const PoolWindow& d : depth) {
            for (const PoolWindow& h : height) {
              for (const PoolWindow& w : width) {
                for (int64_t c = 0; c < channels; ++c, ++i) {
                  const Expected one = expected(x.data() + image * in, geometry, d, h, w, c, zero_point);
                  ASSERT_EQ(largest[i], one.largest) << shape.name << " channels " << channels << " at " << i;
                  ASSERT_TRUE(shape.dilated || average[i] == one.average)
                      << shape.name << " channels " << channels << " at " << i;
                }
              }
            }
          }
        }
      });
    }
  }
}

TEST(Pool, GivesWhatPlainLoopsGive) {
  expect_pools<uint8_t>();
  expect_pools<int8_t>();
}

TEST(Pool, RoundsAveragesToTheEvenInteger) {
  const std::vector<uint8_t> x{1, 2, 2, 3, 254, 255, 0, 1};
  std::vector<uint8_t> y(4);
  for_each_isa([&] {
    average_pool(x.data(), {4, 1, {1, 1, 2}, {kOne, kOne, {{0, 2, 1, 2}}}}, 7, y.data());
    EXPECT_EQ(y, (std::vector<uint8_t>{2, 2, 254, 0}));
  });
}

TEST(Pool, AveragesAsManyAsFitExactly) {
  const std::vector<uint8_t> x(kMaxAverageSize + 1, 255);
  for_each_isa([&] {
    uint8_t y = 0;
    average_pool(x.data(), {1, 1, {1, 1, kMaxAverageSize}, {kOne, kOne, {{0, kMaxAverageSize, 1, kMaxAverageSize}}}}, 0, &y);
    EXPECT_EQ(y, 255);
  });
  uint8_t y = 0;
  EXPECT_EQ(error_of([&] {
              average_pool(x.data(), {1, 1, {1, 1, kMaxAverageSize + 1}, {kOne, kOne, {{0, kMaxAverageSize + 1, 1, 1}}}}, 0, &y);
            }),
            "average_pool: a window has 8421505 values, but their sum fits int32 for up to 8421504");
}

TEST(Pool, RefusesWindowsBeyondTheImage) {
  const uint8_t x[2] = {};
  uint8_t y = 0;
  EXPECT_EQ(error_of([&] { max_pool(x, {1, 1, {1, 1, 2}, {kOne, kOne, {{0, 3}}}}, &y); }),
            "max_pool: a window 0 .. 3 with step 1 is not within the 2 places of dimension 2");
  EXPECT_EQ(error_of([&] { average_pool(x, {1, 1, {1, 1, 2}, {kOne, {{-1, 1}}, kOne}}, 0, &y); }),
            "average_pool: a window -1 .. 1 with step 1 is not within the 1 places of dimension 1");
}

}  // namespace
}  // namespace octet::kernels
