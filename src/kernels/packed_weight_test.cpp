#include <octet/kernels/packed_weight.h>

#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::error_of;
using test::Random;
using test::random_integers;

TEST(PackedWeight, UnpacksToWhatWasPacked) {
  Random random(1);
  for (const int64_t n : {1, 2, 15, 16, 17, 33}) {
    for (const int64_t k : {1, 3, 4, 5, 8, 9, 31, 64}) {
      const auto weight = random_integers<int8_t>(random, n * k, -128, 127);
      std::vector<int8_t> unpacked(n * k);
      PackedWeight(weight.data(), n, k).unpack(unpacked.data());
      ASSERT_EQ(unpacked, weight) << n << " x " << k;
    }
  }
}

TEST(PackedWeight, PutsFourConsecutiveInputsOfAColumnSideBySide) {
  // w[c][k] = 10 c + k, two columns of five inputs.
  const std::vector<int8_t> weight{0, 1, 2, 3, 4, 10, 11, 12, 13, 14};
  const PackedWeight packed(weight.data(), 2, 5);
  const int8_t* panel = packed.panel(0);
  EXPECT_EQ(std::vector<int8_t>(panel, panel + 9), (std::vector<int8_t>{0, 1, 2, 3, 10, 11, 12, 13, 0}));
  EXPECT_EQ(std::vector<int8_t>(panel + 64, panel + 73), (std::vector<int8_t>{4, 0, 0, 0, 14, 0, 0, 0, 0}));
  EXPECT_EQ(packed.padded_k(), 8);
  EXPECT_EQ(packed.panels(), 1);
  EXPECT_EQ(packed.bytes(), 16 * 8 + 16 * 4);
  EXPECT_EQ(packed.column_sums()[0], 10);
  EXPECT_EQ(packed.column_sums()[1], 60);
  EXPECT_EQ(packed.column_sums()[2], 0);
}

TEST(PackedWeight, CopiesShareTheStorage) {
  const std::vector<int8_t> weight(64, 1);
  const PackedWeight packed(weight.data(), 8, 8);
  const PackedWeight copy = packed;
  EXPECT_EQ(copy.panel(0), packed.panel(0));
}

TEST(PackedWeight, MayBeEmpty) {
  const PackedWeight no_outputs(nullptr, 0, 5);
  EXPECT_EQ(no_outputs.panels(), 0);
  EXPECT_EQ(no_outputs.bytes(), 0);
  const PackedWeight no_inputs(nullptr, 5, 0);
  EXPECT_EQ(no_inputs.padded_k(), 0);
  EXPECT_EQ(no_inputs.column_sums()[4], 0);
}

TEST(PackedWeight, RefusesWhatInt32CannotSum) {
  const std::vector<int8_t> weight(PackedWeight::kMaxDepth + 1);
  EXPECT_NO_THROW(PackedWeight(weight.data(), 1, PackedWeight::kMaxDepth));
  EXPECT_EQ(error_of([&] { PackedWeight(weight.data(), 1, PackedWeight::kMaxDepth + 1); }),
            "PackedWeight: k must be at most 65793, got 65794: a longer sum of products of 8-bit integers may not fit int32; "
            "split the layer along its inputs");
  EXPECT_EQ(error_of([] { PackedWeight(nullptr, -1, 4); }), "PackedWeight: n and k must not be negative, got n = -1, k = 4");
}

}  // namespace
}  // namespace octet::kernels
