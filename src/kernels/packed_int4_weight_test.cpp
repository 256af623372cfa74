#include <octet/kernels/packed_int4_weight.h>

#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::error_of;
using test::Random;
using test::random_floats;
using test::random_integers;

TEST(PackedInt4Weight, UnpacksToWhatWasPacked) {
  Random random(1);
  for (const int64_t n : {1, 15, 16, 17, 33}) {
    for (const int64_t k : {1, 4, 5, 8, 9, 32, 127, 128, 300}) {
      for (const int64_t group_size : {32, 64, 128}) {
        for (const bool affine : {false, true}) {
          SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(k) + " in groups of " + std::to_string(group_size));
          const int64_t groups = (k + group_size - 1) / group_size;
          const auto weight = random_integers<int8_t>(random, n * k, affine ? 0 : -8, affine ? 15 : 7);
          const auto scale = random_floats(random, n * groups, 0.01f, 1.0f);
          const auto zero_point = random_integers<int8_t>(random, n * groups, 0, affine ? 15 : 0);
          const PackedInt4Weight packed(weight.data(), n, k, group_size, scale.data(), affine ? zero_point.data() : nullptr);
          ASSERT_EQ(packed.groups(), groups);
          ASSERT_EQ(packed.symmetric(), !affine);
          std::vector<int8_t> unpacked(n * k), unpacked_zero_point(n * groups);
          std::vector<float> unpacked_scale(n * groups);
          packed.unpack(unpacked.data(), unpacked_scale.data(), unpacked_zero_point.data());
          ASSERT_EQ(unpacked, weight);
          ASSERT_EQ(unpacked_scale, scale);
          ASSERT_EQ(unpacked_zero_point, zero_point);
        }
      }
    }
  }
}

TEST(PackedInt4Weight, PutsEightConsecutiveInputsOfAColumnIntoOneLane) {
  // Two columns of nine inputs: 0 .. 8 and 15 .. 7.
  std::vector<int8_t> weight;
  for (int i = 0; i < 9; ++i) weight.push_back(static_cast<int8_t>(i));
  for (int i = 0; i < 9; ++i) weight.push_back(static_cast<int8_t>(15 - i));
  const std::vector<float> scale{0.5f, 2.0f};
  const std::vector<int8_t> zero_point{3, 12};
  const PackedInt4Weight packed(weight.data(), 2, 9, 32, scale.data(), zero_point.data());
  const uint8_t* panel = packed.panel(0);
  EXPECT_EQ(std::vector<uint8_t>(panel, panel + 9), (std::vector<uint8_t>{0x40, 0x51, 0x62, 0x73, 0xbf, 0xae, 0x9d, 0x8c, 0x00}));
  EXPECT_EQ(std::vector<uint8_t>(panel + 64, panel + 69), (std::vector<uint8_t>{0x08, 0, 0, 0, 0x07}));
  EXPECT_EQ(packed.panel_scales(0)[1], 2.0f);
  EXPECT_EQ(packed.panel_zero_points(0)[1], 12);
  EXPECT_EQ(packed.padded_k(), 16);
  EXPECT_EQ(packed.bytes(), 16 * 8 + 16 * 4 + 16);
}

TEST(PackedInt4Weight, HoldsSymmetricIntegersWithAnOffsetOfEight) {
  const std::vector<int8_t> weight{-8, 7};
  const float scale = 1.0f;
  const PackedInt4Weight packed(weight.data(), 1, 2, 32, &scale);
  EXPECT_EQ(packed.panel(0)[0], 0);
  EXPECT_EQ(packed.panel(0)[1], 15);
  EXPECT_EQ(packed.panel_zero_points(0), nullptr);
}

TEST(PackedInt4Weight, TakesLessThanAFifthOfFloat32sMemory) {
  constexpr int64_t kSize = 512;
  const std::vector<int8_t> zeros(kSize * kSize);
  const std::vector<float> scale(kSize * kSize / 32);
  for (const auto& [group_size, symmetric, affine] :
       {std::tuple{32, 0.625, 0.65625}, std::tuple{64, 0.5625, 0.578125}, std::tuple{128, 0.53125, 0.5390625}}) {
    const auto bytes_per_weight = [&, size = group_size](const int8_t* zero_point) {
      const PackedInt4Weight packed(zeros.data(), kSize, kSize, size, scale.data(), zero_point);
      return static_cast<double>(packed.bytes()) / (kSize * kSize);
    };
    EXPECT_EQ(bytes_per_weight(nullptr), symmetric);
    EXPECT_EQ(bytes_per_weight(zeros.data()), affine);
    EXPECT_LT(affine, 0.18 * sizeof(float));
  }
}

TEST(PackedInt4Weight, CopiesShareTheStorage) {
  const std::vector<int8_t> weight(64, 1);
  const std::vector<float> scale(8);
  const PackedInt4Weight packed(weight.data(), 8, 8, 32, scale.data());
  const PackedInt4Weight copy = packed;
  EXPECT_EQ(copy.panel(0), packed.panel(0));
}

TEST(PackedInt4Weight, MayBeEmpty) {
  EXPECT_EQ(PackedInt4Weight(nullptr, 0, 5, 32, nullptr).bytes(), 0);
  const PackedInt4Weight no_inputs(nullptr, 5, 0, 32, nullptr);
  EXPECT_EQ(no_inputs.groups(), 0);
  EXPECT_EQ(no_inputs.panels(), 1);
}

TEST(PackedInt4Weight, RefusesWhatFourBitsCannotHold) {
  const std::vector<float> scale(2);
  const auto error = [&](std::vector<int8_t> weight, const int8_t* zero_point, int64_t group_size = 32) {
    return error_of([&] { PackedInt4Weight(weight.data(), 2, 1, group_size, scale.data(), zero_point); });
  };
  const std::vector<int8_t> zeros(2), too_high{0, 16}, too_low{-1, 0};
  EXPECT_EQ(error({0, 8}, nullptr), "PackedInt4Weight: weight 8 of row 1, column 0 is not in -8 .. 7");
  EXPECT_EQ(error({-9, 0}, nullptr), "PackedInt4Weight: weight -9 of row 0, column 0 is not in -8 .. 7");
  EXPECT_EQ(error({16, 0}, zeros.data()), "PackedInt4Weight: weight 16 of row 0, column 0 is not in 0 .. 15");
  EXPECT_EQ(error({0, -1}, zeros.data()), "PackedInt4Weight: weight -1 of row 1, column 0 is not in 0 .. 15");
  EXPECT_EQ(error({0, 0}, too_high.data()), "PackedInt4Weight: zero point 16 of row 1, group 0 is not in 0 .. 15");
  EXPECT_EQ(error({0, 0}, too_low.data()), "PackedInt4Weight: zero point -1 of row 0, group 0 is not in 0 .. 15");
  EXPECT_EQ(error({0, 0}, nullptr, 48), "PackedInt4Weight: the group size must be 32, 64 or 128, got 48");
  EXPECT_EQ(error_of([] { PackedInt4Weight(nullptr, -1, 1, 32, nullptr); }),
            "PackedInt4Weight: n and k must not be negative, got n = -1, k = 1");
}

}  // namespace
}  // namespace octet::kernels
