#include <octet/kernels/half.h>

#include "kernels/reference.h"
#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using reference::value_of;
using test::bits;
using test::for_each_isa;
using test::GuardedArray;
using test::Random;
using test::random_floats;

bool is_nan(half_bits half) { return (half & 0x7fff) > 0x7c00; }

TEST(Half, EveryHalfBecomesTheFloatOfItsValue) {
  for_each_isa([&] {
    std::vector<half_bits> halves(0x10000);
    for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<half_bits>(i);
    std::vector<float> floats(halves.size());
    half_to_float(halves.data(), static_cast<int64_t>(halves.size()), floats.data());
    for (const half_bits half : halves) {
      if (is_nan(half)) {
        const uint32_t expected = (half & 0x8000u) << 16 | 0x7fc00000u | (half & 0x3ffu) << 13;
        ASSERT_EQ(std::bit_cast<uint32_t>(floats[half]), expected) << half;
      } else {
        ASSERT_EQ(floats[half], value_of(half)) << half;
        ASSERT_EQ(std::signbit(floats[half]), half >= 0x8000);
      }
    }
  });
}

TEST(Half, EveryHalfSurvivesTheRoundTrip) {
  for (int i = 0; i < 0x10000; ++i) {
    const auto half = static_cast<half_bits>(i);
    ASSERT_EQ(float_to_half(half_to_float(half)), is_nan(half) ? half | 0x0200 : half);
  }
}

TEST(Half, RoundsToTheNearestEvenHalf) {
  // Between each pair of neighbours (65536 standing for what is beyond the largest): the middle goes to the even one,
  // what is next to it to the nearer one.
  for_each_isa([&] {
    std::vector<float> x;
    std::vector<half_bits> expected;
    for (half_bits low = 0; low < 0x7c00; ++low) {
      const auto high = static_cast<half_bits>(low + 1);
      const auto middle = static_cast<float>((value_of(low) + (high == 0x7c00 ? 65536.0 : value_of(high))) / 2);
      x.insert(x.end(), {std::nextafter(middle, 0.0f), middle, std::nextafter(middle, 1e9f), -middle});
      const half_bits even = low % 2 ? high : low;
      expected.insert(expected.end(), {low, even, high, static_cast<half_bits>(even | 0x8000)});
    }
    std::vector<half_bits> y(x.size());
    float_to_half(x.data(), static_cast<int64_t>(x.size()), y.data());
    EXPECT_EQ(y, expected);
  });
}

TEST(Half, GivesTheSameBitsOnEveryIsaAndAtEveryLength) {
  std::vector<float> x;
  for (uint64_t pattern = 0; pattern <= 0xffffffff; pattern += 99'991)
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(pattern)));
  for_each_isa([&] {
    for (const int64_t n : {1, 7, 8, 9, static_cast<int>(x.size())}) {
      const GuardedArray<float> input(std::vector<float>(x.end() - n, x.end()));
      const GuardedArray<half_bits> halves(n);
      float_to_half(input.data(), n, halves.data());
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(halves[i], float_to_half(input[i])) << input[i];
      const GuardedArray<float> back(n);
      half_to_float(halves.data(), n, back.data());
      for (int64_t i = 0; i < n; ++i)
        ASSERT_EQ(std::bit_cast<uint32_t>(back[i]), std::bit_cast<uint32_t>(half_to_float(halves[i])));
    }
  });
}

TEST(HalfGemm, SumsInTheDocumentedOrderWhateverTheShape) {
  Random random(11);
  for (const int64_t rows : {1, 2, 3, 4, 5, 9}) {
    for (const int64_t n : {1, 3, 4, 7, 12}) {
      for (const int64_t k : {0, 1, 15, 16, 17, 50}) {
        const GuardedArray<float> x(random_floats(random, rows * k, -2.0f, 2.0f)), bias(random_floats(random, n, -1.0f, 1.0f));
        const GuardedArray<half_bits> weight(n * k);
        for (int64_t i = 0; i < n * k; ++i) weight[i] = float_to_half(random_floats(random, 1, -1.0f, 1.0f)[0]);
        for (const bool relu : {false, true}) {
          std::vector<float> expected;
          for (int64_t r = 0; r < rows; ++r) {
            for (int64_t c = 0; c < n; ++c) {
              const float y = reference::half_linear_sum(x.data() + r * k, weight.data() + c * k, k) + (relu ? 0.0f : bias[c]);
              expected.push_back(relu ? reference::relu(y) : y);
            }
          }
          for_each_isa([&] {
            for (const ParallelFor parallel_for : {serial_for, test::three_threads_for}) {
              const GuardedArray<float> out(rows * n);
              half_gemm({x.data(), k}, rows, {weight.data(), k}, n, k, {relu ? nullptr : bias.data(), relu}, {out.data(), n},
                        parallel_for);
              ASSERT_EQ(bits(out.values()), bits(expected)) << rows << " x " << n << " x " << k;
            }
          });
        }
      }
    }
  }
}

}  // namespace
}  // namespace octet::kernels
