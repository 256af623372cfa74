#include "timing.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>
#include <utility>

namespace demo {
namespace {

TEST(Median, IsTheMiddleOfTheSortedValues) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({7}), 7);
  EXPECT_EQ(median({4, 1, 3, 2}), 3);
}

TEST(TimeInTurns, RunsAllVariantsOnEachItemInChangingOrderAndTimesThem) {
  constexpr size_t kVariants = 3, kItems = 20;
  std::vector<std::pair<size_t, size_t>> calls;
  std::vector<size_t> prepared;
  const auto medians = time_in_turns(
      "test", kVariants, kItems,
      [&](size_t variant, size_t item) {
        calls.emplace_back(variant, item);
        if (variant == 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      },
      [&](size_t item) {
        prepared.push_back(item);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));  // is not counted
      });

  ASSERT_EQ(calls.size(), kVariants * (kItems + 1));  // once to warm up
  std::set<size_t> first;
  for (size_t round = 0; round <= kItems; ++round) {
    std::set<size_t> variants;
    for (size_t i = round * kVariants; i < (round + 1) * kVariants; ++i) {
      variants.insert(calls[i].first);
      EXPECT_EQ(calls[i].second, round == 0 ? 0 : round - 1);
    }
    EXPECT_EQ(variants.size(), kVariants);
    first.insert(calls[round * kVariants].first);
  }
  EXPECT_EQ(first.size(), kVariants);
  EXPECT_EQ(prepared.size(), kItems + 1);

  ASSERT_EQ(medians.size(), kVariants);
  EXPECT_LT(medians[0], 1);
  EXPECT_GE(medians[1], 5);
  EXPECT_LT(medians[2], 1);
}

}  // namespace
}  // namespace demo
