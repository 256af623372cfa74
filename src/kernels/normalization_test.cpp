#include <octet/kernels/normalization.h>

#include <cmath>
#include <numeric>

#include "kernels/reference.h"
#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::GuardedArray;

/// The contract of normalization.h for one number.
int32_t normalized(int32_t q, int32_t center, float scale, float shift, float weight, float bias, const AffineQParams& out) {
  return reference::quantize(std::fma(std::fma(static_cast<float>(q - center), scale, shift), weight, bias), out);
}

template <class Quantized>
struct Problem {
  Problem(test::Random& random, int64_t rows, int64_t channels, int64_t positions)
      : q(test::random_integers<Quantized>(random, rows * channels * positions, lowest, lowest + 255)),
        weight(test::random_floats(random, channels, -2.0f, 2.0f)),
        bias(test::random_floats(random, channels, -1.0f, 1.0f)),
        x{q.data(), rows, channels, positions},
        terms{weight.data(), bias.data()} {}

  static constexpr int lowest = std::numeric_limits<Quantized>::min();
  GuardedArray<Quantized> q;
  GuardedArray<float> weight, bias;
  ChannelRows<Quantized> x;
  ChannelTerms terms;
  AffineQParams in{0.043f, lowest + 117, lowest, lowest + 255};
  AffineQParams out{0.021f, lowest + 93, lowest + 5, lowest + 250};

  float weight_of(int64_t i) const { return weight[i / x.positions % x.channels]; }
  float bias_of(int64_t i) const { return bias[i / x.positions % x.channels]; }
};

template <class Quantized>
void check_batch_norm(Problem<Quantized>& problem) {
  std::vector<Quantized> expected;
  for (int64_t i = 0; i < problem.q.size(); ++i) {
    expected.push_back(static_cast<Quantized>(normalized(problem.q[i], problem.in.zero_point, problem.in.scale, 0.0f,
                                                         problem.weight_of(i), problem.bias_of(i), problem.out)));
  }
  GuardedArray<Quantized> out(problem.q.size());
  for (const ParallelFor parallel_for : {ParallelFor(serial_for), ParallelFor(test::three_threads_for)}) {
    batch_norm(problem.x, problem.in, problem.terms, problem.out, out.data(), parallel_for);
    ASSERT_EQ(out.values(), expected);
  }
}

template <class Quantized>
void check_group_norm(Problem<Quantized>& problem, int64_t groups, double eps) {
  const int64_t n = problem.x.channels / groups * problem.x.positions;
  std::vector<Quantized> expected;
  for (int64_t begin = 0; begin < problem.q.size(); begin += n) {
    int64_t sum = 0, centered = 0, squares = 0;
    for (int64_t i = begin; i < begin + n; ++i) sum += problem.q[i];
    const auto center = static_cast<int32_t>(std::nearbyint(static_cast<double>(sum) / static_cast<double>(n)));
    for (int64_t i = begin; i < begin + n; ++i) {
      centered += problem.q[i] - center;
      squares += (problem.q[i] - center) * (problem.q[i] - center);
    }
    const double count = static_cast<double>(n), mean = static_cast<double>(centered) / count;
    const double variance = (static_cast<double>(squares) - mean * static_cast<double>(centered)) / count;
    const double x_scale = problem.in.scale, scale = x_scale / std::sqrt(variance * x_scale * x_scale + eps);
    for (int64_t i = begin; i < begin + n; ++i) {
      expected.push_back(
          static_cast<Quantized>(normalized(problem.q[i], center, static_cast<float>(scale), static_cast<float>(-mean * scale),
                                            problem.weight_of(i), problem.bias_of(i), problem.out)));
    }
  }
  GuardedArray<Quantized> out(problem.q.size());
  for (const ParallelFor parallel_for : {ParallelFor(serial_for), ParallelFor(test::three_threads_for)}) {
    group_norm(problem.x, groups, problem.in.scale, eps, problem.terms, problem.out, out.data(), parallel_for);
    ASSERT_EQ(out.values(), expected);
  }
}

TEST(Normalization, IsTheFormulaForEveryIsaLayoutAndSize) {
  test::Random random(1);
  test::for_each_isa([&] {
    for (const int64_t rows : {1, 3}) {
      for (const int64_t channels : {1, 4, 12, 33}) {
        for (const int64_t positions : {1, 2, 7, 49}) {
          SCOPED_TRACE(testing::Message() << rows << " rows, " << channels << " channels, " << positions << " positions");
          Problem<uint8_t> unsigned_problem(random, rows, channels, positions);
          Problem<int8_t> signed_problem(random, rows, channels, positions);
          check_batch_norm(unsigned_problem);
          check_batch_norm(signed_problem);
          for (int64_t groups = 1; groups <= channels; ++groups) {
            if (channels % groups) continue;
            check_group_norm(unsigned_problem, groups, 1e-5);
            check_group_norm(signed_problem, groups, 1e-2);
          }
        }
      }
    }
  });
}

TEST(Normalization, SumsGroupsThatOverflow32Bits) {
  test::Random random(2);
  test::for_each_isa([&] {
    Problem<uint8_t> ends(random, 1, 3, 70'001);
    for (int64_t i = 0; i < ends.q.size(); ++i) ends.q[i] = i % 3 ? 255 : 254;
    check_group_norm(ends, 1, 1e-5);
    Problem<int8_t> signed_ends(random, 1, 1, 140'001);
    for (int64_t i = 0; i < signed_ends.q.size(); ++i) signed_ends.q[i] = i % 5 ? -128 : 127;
    check_group_norm(signed_ends, 1, 1e-5);
  });
}

TEST(Normalization, IsWithinAStepOfTheRealNumbers) {
  test::Random random(3);
  for (const int64_t n : {2, 5, 100, 4'000}) {
    Problem<uint8_t> problem(random, 8, n, 1);
    std::vector<uint8_t> out(problem.q.size());
    group_norm(problem.x, 1, problem.in.scale, 1e-5, problem.terms, problem.out, out.data());
    for (int64_t row = 0; row < 8; ++row) {
      const uint8_t* const q = problem.q.data() + row * n;
      long double mean = 0, variance = 0;
      for (int64_t i = 0; i < n; ++i) mean += q[i] * static_cast<long double>(problem.in.scale) / n;
      for (int64_t i = 0; i < n; ++i) variance += std::pow(q[i] * static_cast<long double>(problem.in.scale) - mean, 2) / n;
      for (int64_t i = 0; i < n; ++i) {
        const long double y =
            (q[i] * static_cast<long double>(problem.in.scale) - mean) / std::sqrt(variance + 1e-5L) * problem.weight[i] +
            problem.bias[i];
        const long double real =
            std::clamp<long double>(y / problem.out.scale + problem.out.zero_point, problem.out.quant_min, problem.out.quant_max);
        ASSERT_NEAR(static_cast<double>(out[row * n + i]), static_cast<double>(real), 0.5001);
      }
    }
  }
}

TEST(Normalization, MakesTheBiasOfAGroupOfEqualNumbers) {
  const std::vector<uint8_t> q(300, 201);
  const std::vector<float> weight(300, 50.0f), bias(300, 0.5f);
  std::vector<uint8_t> out(300);
  group_norm<uint8_t>({q.data(), 1, 300, 1}, 1, 1.0f, 1e-12, {weight.data(), bias.data()}, {0.01f, 3}, out.data());
  EXPECT_EQ(out, std::vector<uint8_t>(300, 53));
}

TEST(Normalization, HasTheValuesComputedByHand) {
  // Group 1: mean 4, variance 4: -1, -1, 1, 1 (with eps 0). Group 2: 10 and 30 twice: the same.
  const std::vector<uint8_t> q{2, 2, 6, 6, 10, 30, 10, 30};
  const std::vector<float> weight{1.0f, 2.0f, 1.0f, -3.0f}, bias{0.0f, 0.0f, 0.5f, 1.0f};
  std::vector<uint8_t> out(8);
  group_norm<uint8_t>({q.data(), 1, 4, 2}, 2, 0.25f, 0.0, {weight.data(), bias.data()}, {0.5f, 100}, out.data());
  EXPECT_EQ(out, (std::vector<uint8_t>{98, 98, 104, 104, 99, 103, 108, 96}));
  // x = (q - 6) * 0.25 = -1, -1, 0, 0, 1, 6, 1, 6
  batch_norm<uint8_t>({q.data(), 1, 4, 2}, {0.25f, 6}, {weight.data(), bias.data()}, {0.5f, 100, 100, 255}, out.data());
  EXPECT_EQ(out, (std::vector<uint8_t>{100, 100, 100, 100, 103, 113, 100, 100}));
}

TEST(Normalization, TakesNothingAndRefusesGroupsThatDoNotDivide) {
  group_norm<uint8_t>({nullptr, 0, 4, 3}, 2, 1.0f, 1e-5, {}, {}, nullptr);
  group_norm<uint8_t>({nullptr, 2, 4, 0}, 2, 1.0f, 1e-5, {}, {}, nullptr);
  batch_norm<int8_t>({nullptr, 0, 4, 3}, {}, {}, {1.0f, 0, -128, 127}, nullptr);
  EXPECT_EQ(test::error_of([] { group_norm<uint8_t>({nullptr, 1, 4, 1}, 3, 1.0f, 1e-5, {}, {}, nullptr); }),
            "group_norm: 3 groups do not divide 4 channels");
  EXPECT_EQ(test::error_of([] { batch_norm<uint8_t>({nullptr, 1, 4, 1}, {}, {}, {0.0f}, nullptr); }),
            "batch_norm: scale must be positive and finite, got 0");
}

}  // namespace
}  // namespace octet::kernels
