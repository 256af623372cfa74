#include "timing.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <utility>

namespace demo {
namespace {

TEST(Median, IsTheMiddleOfTheSortedValues) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({7}), 7);
  EXPECT_EQ(median({4, 1, 3, 2}), 3);
}

TEST(TimeInTurns, LetsEveryVariantBeginAndTimesIt) {
  std::vector<std::pair<size_t, size_t>> calls;
  const auto medians = time_in_turns("test", 2, 2, [&](size_t variant, size_t item) {
    calls.emplace_back(variant, item);
    if (variant == 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  });
  using Calls = std::vector<std::pair<size_t, size_t>>;
  EXPECT_EQ(calls, (Calls{{0, 0}, {1, 0}, {0, 0}, {1, 0}, {1, 1}, {0, 1}}));
  ASSERT_EQ(medians.size(), 2u);
  EXPECT_LT(medians[0], medians[1]);
  EXPECT_GE(medians[1], 5);
}

}  // namespace
}  // namespace demo
