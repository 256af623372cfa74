#include <octet/kernels/quantize.h>

#include <limits>

#include "kernels/reference.h"
#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::error_of;
using test::for_each_isa;
using test::GuardedArray;
using test::Random;
using test::random_floats;
using test::random_integers;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();

std::vector<float> awkward_values() {
  std::vector<float> values{0.0f,       -0.0f, kInf,   -kInf,         kNaN,           kDenormal,
                            -kDenormal, 3e38f, -3e38f, 2147483648.0f, -2147483648.0f, 2147483520.0f};
  for (int i = -600; i <= 600; ++i) values.push_back(static_cast<float>(i) * 0.25f);  // every tie at scale 0.5
  Random random(7);
  const auto more = random_floats(random, 300, -40.0f, 40.0f);
  values.insert(values.end(), more.begin(), more.end());
  return values;
}

template <class Quantized>
void expect_quantized(const std::vector<AffineQParams>& grid) {
  const std::vector<float> values = awkward_values();
  for_each_isa([&] {
    for (const AffineQParams& p : grid) {
      for (const int64_t n : {0, 1, 7, 8, 9, 16, 31, static_cast<int>(values.size())}) {
        const GuardedArray<float> x(std::vector<float>(values.end() - n, values.end()));
        const GuardedArray<Quantized> q(n);
        quantize(x.data(), n, p, q.data());
        for (int64_t i = 0; i < n; ++i)
          ASSERT_EQ(q[i], reference::quantize(x[i], p)) << x[i] << " at scale " << p.scale << " zero point " << p.zero_point;
        const GuardedArray<float> back(n);
        dequantize(q.data(), n, p, back.data());
        for (int64_t i = 0; i < n; ++i) ASSERT_EQ(back[i], reference::dequantize(q[i], p));
      }
    }
  });
}

/// All integers of the type, more than once, in rows that are not side by side.
template <class Quantized>
void expect_requantized(const std::vector<std::pair<AffineQParams, AffineQParams>>& grid) {
  constexpr int64_t kRows = 3, kGap = 5;
  for_each_isa([&] {
    for (const auto& [from, to] : grid) {
      for (const int64_t columns : {0, 1, 7, 16, 31, 33, 63, 64, 65, 128, 300}) {
        const int64_t stride = columns + kGap;
        const GuardedArray<Quantized> x(kRows * stride), y(kRows * stride);
        for (int64_t i = 0; i < x.size(); ++i) x[i] = static_cast<Quantized>(i * 7);
        std::fill_n(y.data(), y.size(), Quantized{99});
        requantize({x.data(), stride}, kRows, columns, from, to, Matrix<Quantized>{y.data(), stride});
        for (int64_t i = 0; i < x.size(); ++i) {
          const int32_t expected = i % stride < columns ? reference::quantize(reference::dequantize(x[i], from), to) : 99;
          ASSERT_EQ(y[i], expected) << int{x[i]} << " from " << from.scale << " to " << to.scale;
        }
      }
    }
  });
}

TEST(Requantize, QuantizesWhatItDequantizesOnEveryIsa) {
  expect_requantized<uint8_t>({{{0.5f, 128}, {0.25f, 3}},
                               {{0.013f, 77}, {0.5f, 200, 0, 255}},
                               {{1.0f, 0}, {2.0f, 1}},  // every second one is a tie
                               {{0.1f, 255}, {0.1f, 255, 10, 200}},
                               {{1e30f, 9}, {1e-30f, 9}}});
  expect_requantized<int8_t>({{{0.5f, -128, -128, 127}, {0.25f, 127, -128, 127}},
                              {{1.0f, 3, -128, 127}, {2.0f, -3, -64, 63}},
                              {{0.013f, 7, -128, 127}, {0.02f, 0, 0, 127}}});
}

TEST(Requantize, NamesWhatIsWrongWithItsArguments) {
  const std::vector<uint8_t> x(1);
  std::vector<uint8_t> y(1);
  const auto run = [&](const AffineQParams& from, const AffineQParams& to) {
    return error_of([&] { requantize({x.data(), 1}, 1, 1, from, to, Matrix<uint8_t>{y.data(), 1}); });
  };
  EXPECT_EQ(run({0.0f, 0}, {1.0f, 0}), "requantize: from: scale must be positive and finite, got 0");
  EXPECT_EQ(run({1.0f, 0}, {1.0f, 300}), "requantize: to: zero point 300 is not in 0 .. 255");
}

TEST(Quantize, RoundsHalfToEvenAndClampsOnEveryIsa) {
  expect_quantized<uint8_t>({{0.5f, 0, 0, 255},
                             {0.5f, 128, 0, 255},
                             {0.5f, 255, 0, 127},
                             {0.013f, 77, 3, 200},
                             {1e-30f, 9, 0, 255},
                             {1e30f, 9, 0, 255},
                             {1e-45f, 5, 0, 15}});
  expect_quantized<int8_t>({{0.5f, 0, -128, 127}, {0.5f, -128, -128, 127}, {0.5f, 127, -127, 127}, {0.07f, -3, -64, 63}});
}

TEST(Quantize, GivesTheResultComputedByHand) {
  const std::vector<float> x{0.25f, 0.75f, -0.25f, 1e9f, -kInf, kInf, kNaN};  // 0.5, 1.5 and -0.5 steps are ties
  for_each_isa([&] {
    std::vector<uint8_t> q(x.size());
    quantize(x.data(), 7, {0.5f, 10, 0, 255}, q.data());
    EXPECT_EQ(q, (std::vector<uint8_t>{10, 12, 10, 255, 0, 255, 0}));
  });
}

TEST(Quantize, NamesWhatIsWrongWithItsArguments) {
  const float x = 1.0f;
  const auto run = [&](AffineQParams qparams) {
    return error_of([&] {
      uint8_t q = 0;
      quantize(&x, 1, qparams, &q);
    });
  };
  EXPECT_EQ(run({0.0f, 0, 0, 255}), "quantize: scale must be positive and finite, got 0");
  EXPECT_EQ(run({kNaN, 0, 0, 255}), "quantize: scale must be positive and finite, got nan");
  EXPECT_EQ(run({1.0f, 0, -1, 255}), "quantize: quantization range -1 .. 255 is empty or not within 0 .. 255");
  EXPECT_EQ(run({1.0f, 0, 5, 4}), "quantize: quantization range 5 .. 4 is empty or not within 0 .. 255");
  EXPECT_EQ(run({1.0f, 256, 0, 255}), "quantize: zero point 256 is not in 0 .. 255");
}

TEST(QuantizeRows, FillsThePaddingWithZerosAndSumsTheRows) {
  Random random(8);
  for (const int64_t columns : {1, 5, 8, 21, 64}) {
    for (const bool per_row : {false, true}) {
      const int64_t rows = 4, stride = (columns + 7) / 8 * 8;
      const GuardedArray<float> x(random_floats(random, rows * columns, -2.0f, 2.0f));
      const GuardedArray<float> scale(random_floats(random, per_row ? rows : 1, 0.01f, 0.02f));
      const GuardedArray<int32_t> zero_point(random_integers<int32_t>(random, per_row ? rows : 1, 0, 255));
      for_each_isa([&] {
        const GuardedArray<uint8_t> q(std::vector<uint8_t>(rows * stride, 99));
        const GuardedArray<int32_t> sums(rows);
        quantize_rows({x.data(), columns}, rows, columns, {scale.data(), zero_point.data(), per_row, 0, 127}, {q.data(), stride},
                      sums.data(), test::three_threads_for);
        for (int64_t r = 0; r < rows; ++r) {
          const AffineQParams p{scale[per_row ? r : 0], zero_point[per_row ? r : 0], 0, 127};
          int64_t sum = 0;
          for (int64_t c = 0; c < stride; ++c) {
            const int64_t expected = c < columns ? reference::quantize(x[r * columns + c], p) : 0;
            ASSERT_EQ(q[r * stride + c], expected);
            sum += expected;
          }
          ASSERT_EQ(sums[r], sum);
        }
      });
    }
  }
}

TEST(QuantizeRows, ChecksEveryRowBeforeItWrites) {
  const std::vector<float> x{1.0f, 2.0f}, scale{1.0f, -1.0f};
  const std::vector<int32_t> zero_point{0, 0};
  std::vector<uint8_t> q{7, 7};
  EXPECT_EQ(error_of([&] { quantize_rows({x.data(), 1}, 2, 1, {scale.data(), zero_point.data(), true}, {q.data(), 1}); }),
            "quantize_rows: scale must be positive and finite, got -1");
  EXPECT_EQ(error_of([&] { quantize_rows({x.data(), 2}, 1, 2, {scale.data(), zero_point.data()}, {q.data(), 1}); }),
            "quantize_rows: the stride of q is 1, which is less than its 2 columns");
  EXPECT_EQ(q, (std::vector<uint8_t>{7, 7}));
}

TEST(MinMax, FindsTheRangeWhereverItsEndsAre) {
  for_each_isa([&] {
    for (int64_t n = 1; n <= 40; ++n) {
      for (int64_t at = 0; at < n; ++at) {
        const GuardedArray<float> x(std::vector<float>(n, 1.0f));
        x[at] = 3.0f;
        ASSERT_EQ(min_max(x.data(), n), (MinMax{n == 1 ? 3.0f : 1.0f, 3.0f, false}));
        x[at] = -3.0f;
        ASSERT_EQ(min_max(x.data(), n), (MinMax{-3.0f, n == 1 ? -3.0f : 1.0f, false}));
        x[at] = kNaN;
        const MinMax range = min_max(x.data(), n);
        ASSERT_TRUE(range.has_nan);
        ASSERT_EQ(range.min, n > 1 ? 1.0f : kInf);
        ASSERT_EQ(range.max, n > 1 ? 1.0f : -kInf);
      }
    }
  });
}

TEST(MinMax, KeepsInfinitiesAndMakesZerosPositive) {
  for_each_isa([&] {
    EXPECT_EQ(min_max(nullptr, 0), (MinMax{kInf, -kInf, false}));
    const std::vector<float> infinities{1.0f, -kInf, kInf};
    EXPECT_EQ(min_max(infinities.data(), 3), (MinMax{-kInf, kInf, false}));
    const std::vector<float> zeros{-0.0f, 0.0f, -0.0f};
    const MinMax range = min_max(zeros.data(), 3);
    EXPECT_FALSE(std::signbit(range.min) || std::signbit(range.max));
    const std::vector<float> nans(20, kNaN);
    EXPECT_EQ(min_max(nans.data(), 20), (MinMax{kInf, -kInf, true}));
  });
}

TEST(MinMax, DoesNotDependOnThreadsAndKnowsRows) {
  Random random(9);
  const auto x = random_floats(random, 7 * 13, -5.0f, 5.0f);
  for_each_isa([&] {
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    EXPECT_EQ(min_max(x.data(), static_cast<int64_t>(x.size()), test::three_threads_for), (MinMax{*low, *high, false}));
    std::vector<MinMax> ranges(7);
    min_max_rows({x.data(), 13}, 7, 10, ranges.data(), test::three_threads_for);
    for (int64_t r = 0; r < 7; ++r) {
      const auto [low, high] = std::minmax_element(x.begin() + r * 13, x.begin() + r * 13 + 10);
      EXPECT_EQ(ranges[r], (MinMax{*low, *high, false}));
    }
  });
}

TEST(LookupTable, MapsEveryByteAlsoInPlace) {
  Random random(10);
  const std::vector<uint8_t> table = random_integers<uint8_t>(random, 256, 0, 255);
  for (const int64_t n : {0, 1, 63, 64, 65, 256, 1000}) {
    std::vector<uint8_t> bytes = random_integers<uint8_t>(random, n, 0, 255);
    for (int64_t i = 0; n == 256 && i < n; ++i) bytes[i] = static_cast<uint8_t>(i);
    std::vector<uint8_t> expected;
    for (const uint8_t byte : bytes) expected.push_back(table[byte]);
    for_each_isa([&] {
      const GuardedArray<uint8_t> x(bytes);
      lookup_table(x.data(), n, table.data(), x.data());
      ASSERT_EQ(x.values(), expected);
      const GuardedArray<uint8_t> y(n);
      lookup_table(bytes.data(), n, table.data(), y.data(), test::three_threads_for);
      ASSERT_EQ(y.values(), expected);
    });
  }
}

}  // namespace
}  // namespace octet::kernels
