#include <octet/kernels/int4_gemm.h>

#include "kernels/reference.h"
#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::bits;
using test::error_of;
using test::for_each_isa;
using test::GuardedArray;
using test::Random;
using test::random_floats;
using test::random_integers;

/// A weight with its qparams, in plain arrays and packed.
struct Weight {
  Weight(std::vector<int8_t> integers, std::vector<float> scales, std::vector<int8_t> zero_points, int64_t out, int64_t in,
         int64_t size, bool affine)
      : integer(std::move(integers)),
        scale(std::move(scales)),
        zero_point(std::move(zero_points)),
        n(out),
        k(in),
        group_size(size),
        packed(integer.data(), n, k, group_size, scale.data(), affine ? zero_point.data() : nullptr) {}

  static Weight random(Random& random, int64_t n, int64_t k, int64_t group_size, bool affine) {
    const int64_t groups = (k + group_size - 1) / group_size;
    return {random_integers<int8_t>(random, n * k, affine ? 0 : -8, affine ? 15 : 7),
            random_floats(random, n * groups, 0.001f, 0.1f),
            random_integers<int8_t>(random, n * groups, 0, affine ? 15 : 0),
            n,
            k,
            group_size,
            affine};
  }

  /// The same integer, scale and zero point everywhere.
  static Weight constant(int8_t value, float scale, int8_t zero_point, int64_t n, int64_t k, int64_t group_size, bool affine) {
    const auto groups = static_cast<size_t>((k + group_size - 1) / group_size * n);
    return {std::vector<int8_t>(n * k, value),
            std::vector<float>(groups, scale),
            std::vector<int8_t>(groups, zero_point),
            n,
            k,
            group_size,
            affine};
  }

  float reference(const float* x, int64_t column, float bias, bool relu) const {
    const int64_t first_group = column * packed.groups();
    return reference::int4_linear(x, k, integer.data() + column * k, group_size, scale.data() + first_group,
                                  zero_point.data() + first_group, bias, relu);
  }

  std::vector<int8_t> integer;
  std::vector<float> scale;
  std::vector<int8_t> zero_point;
  int64_t n, k, group_size;
  PackedInt4Weight packed;
};

/// The product into a guarded output, with gaps between its rows and those of x.
std::vector<float> product(const std::vector<float>& x, int64_t rows, const Weight& weight, const Epilogue& epilogue = {},
                           ParallelFor parallel_for = serial_for) {
  const int64_t x_stride = weight.k + 3, out_stride = weight.n + 2;
  constexpr float kUntouched = 12345.0f;
  const GuardedArray<float> x_rows(std::max<int64_t>(0, rows * x_stride - 3)), out(rows * out_stride - 2);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(x.data() + r * weight.k, weight.k, x_rows.data() + r * x_stride);
  std::fill_n(out.data(), out.size(), kUntouched);
  std::vector<MinMax> ranges(rows);
  min_max_rows({x_rows.data(), x_stride}, rows, weight.k, ranges.data());
  int4_gemm({x_rows.data(), x_stride}, ranges.data(), rows, weight.packed, epilogue, {out.data(), out_stride}, parallel_for);
  std::vector<float> result;
  for (int64_t i = 0; i < out.size(); ++i) {
    if (i % out_stride < weight.n) {
      result.push_back(out[i]);
    } else {
      EXPECT_EQ(out[i], kUntouched);
    }
  }
  return result;
}

TEST(Int4Gemm, HasTheReferencesBitsWhateverTheShape) {
  Random random(3);
  for (int64_t rows = 1; rows <= 9; ++rows) {
    for (const int64_t n : {1, 15, 16, 33}) {
      for (const int64_t k : {1, 9, 31, 64, 100, 260}) {
        for (const int64_t group_size : {32, 64, 128}) {
          const bool affine = (rows + n + k + group_size / 32) % 2;
          const bool relu = rows % 3 == 0, with_bias = n % 2;
          SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(n) + " x " + std::to_string(k) + " in groups of " +
                       std::to_string(group_size) + (affine ? ", affine" : ", symmetric"));
          const Weight weight = Weight::random(random, n, k, group_size, affine);
          std::vector<float> x = random_floats(random, rows * k, -3.0f, 2.0f);
          for (int64_t i = 0; i < k; ++i) x[i] *= 1e-3f;  // rows of different ranges
          const auto bias = random_floats(random, n, -1.0f, 1.0f);
          std::vector<float> expected;
          for (int64_t r = 0; r < rows; ++r) {
            for (int64_t c = 0; c < n; ++c) {
              expected.push_back(weight.reference(x.data() + r * k, c, with_bias ? bias[c] : 0.0f, relu));
            }
          }
          for_each_isa([&] {
            for (const ParallelFor parallel_for : {serial_for, test::three_threads_for}) {
              ASSERT_EQ(bits(product(x, rows, weight, {with_bias ? bias.data() : nullptr, relu}, parallel_for)), bits(expected));
            }
          });
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(Int4Gemm, CutsManyRowsIntoBlocksUnseen) {
  Random random(4);
  constexpr int64_t kRows = 101, kOutputs = 20, kInputs = 70;
  const Weight weight = Weight::random(random, kOutputs, kInputs, 32, true);
  const auto x = random_floats(random, kRows * kInputs, -1.0f, 1.0f);
  for_each_isa([&] {
    const auto all = product(x, kRows, weight, {}, test::three_threads_for);
    for (int64_t r = 0; r < kRows; ++r) {
      const std::vector<float> row(x.begin() + r * kInputs, x.begin() + (r + 1) * kInputs);
      const auto alone = product(row, 1, weight);
      ASSERT_EQ(bits(alone), bits(std::span(all).subspan(r * kOutputs, kOutputs))) << r;
    }
  });
}

TEST(Int4Gemm, ErrsByTheWeightsAlone) {
  // Against the weights' values in double: 16 bits for the activations cost next to nothing.
  Random random(5);
  constexpr int64_t kRows = 3, kOutputs = 17, kInputs = 515;
  for (const bool affine : {false, true}) {
    const Weight weight = Weight::random(random, kOutputs, kInputs, 128, affine);
    const auto x = random_floats(random, kRows * kInputs, -1.0f, 1.0f);
    const auto y = product(x, kRows, weight);
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t c = 0; c < kOutputs; ++c) {
        double exact = 0.0, magnitude = 0.0;
        for (int64_t i = 0; i < kInputs; ++i) {
          const int64_t group = c * weight.packed.groups() + i / 128;
          const double term = double{x[r * kInputs + i]} * (weight.integer[c * kInputs + i] - weight.zero_point[group]) *
                              double{weight.scale[group]};
          exact += term;
          magnitude += std::abs(term);
        }
        EXPECT_NEAR(y[r * kOutputs + c], exact, magnitude * 2e-5);
      }
    }
  }
}

TEST(Int4Gemm, HoldsTheLargestSums) {
  // Two groups of 128 products of 32767 and -8, 7, 15 or -15.
  struct Case {
    int8_t weight, zero_point;
    bool affine;
    int product;
  };
  for (const Case& c : {Case{-8, 0, false, -8}, Case{7, 0, false, 7}, Case{15, 0, true, 15}, Case{0, 15, true, -15}}) {
    const Weight weight = Weight::constant(c.weight, 0.5f, c.zero_point, 16, 256, 128, c.affine);
    for (const float x : {2.0f, -2.0f}) {
      const float group_sum = static_cast<float>(128LL * 32767 * c.product) * (x > 0 ? 1.0f : -1.0f);
      const float expected = group_sum * 0.5f * 2.0f * (2.0f / 32767.0f);  // each factor but the last is exact
      for_each_isa([&] {
        for (const int64_t rows : {1, 4, 6}) {
          for (const float y : product(std::vector<float>(rows * 256, x), rows, weight)) ASSERT_EQ(y, expected);
        }
      });
    }
  }
}

TEST(Int4Gemm, RoundsActivationsHalfToEven) {
  // With 32767 in the row its scale is 1. Column c of the output reads input c + 1 alone.
  const std::vector<float> x{32767.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 256.5f, -257.5f, 3.49f};
  const std::vector<float> expected{0.0f, 2.0f, 2.0f, 0.0f, -2.0f, 256.0f, -258.0f, 3.0f};
  std::vector<int8_t> identity(8 * 9);
  for (int64_t c = 0; c < 8; ++c) identity[c * 9 + c + 1] = 1;
  const Weight weight(identity, std::vector<float>(8, 1.0f), std::vector<int8_t>(8), 8, 9, 32, false);
  for_each_isa([&] { EXPECT_EQ(product(x, 1, weight), expected); });
}

TEST(Int4Gemm, GivesTheBiasForRowsOfZerosAndStaysFiniteAtBothEndsOfFloat) {
  const Weight weight = Weight::constant(3, 1.0f, 0, 3, 40, 32, false);
  const std::vector<float> bias{0.25f, -1.0f, 3.0f};
  for_each_isa([&] {
    EXPECT_EQ(product(std::vector<float>(40, 0.0f), 1, weight, {bias.data()}), bias);
    EXPECT_EQ(product(std::vector<float>(40, -0.0f), 1, weight, {bias.data()}), bias);
    EXPECT_EQ(product(std::vector<float>(40, 1e-42f), 1, weight, {bias.data()}), bias);
    for (const float y : product(std::vector<float>(40, 2e36f), 1, weight)) EXPECT_NEAR(y / 2e36f, 120.0f, 1e-3f);
    for (const float y : product(std::vector<float>(40, 2e-36f), 1, weight)) EXPECT_NEAR(y / 2e-36f, 120.0f, 0.5f);
  });
}

TEST(Int4Gemm, ClampsToReluAndUpperBound) {
  const Weight weight(std::vector<int8_t>{-4, 1, 7}, std::vector<float>(3, 1.0f), std::vector<int8_t>(3), 3, 1, 32, false);
  const Epilogue relu6{.relu = true, .upper_bound = 6.0f};
  for_each_isa([&] { EXPECT_EQ(product({1.0f}, 1, weight, relu6), (std::vector<float>{0.0f, 1.0f, 6.0f})); });
}

TEST(Int4Gemm, MayBeEmpty) {
  const std::vector<float> bias{1.0f, 2.0f};
  for_each_isa([&] {
    EXPECT_EQ(product({}, 2, Weight::constant(0, 1.0f, 0, 2, 0, 32, false), {bias.data()}),
              (std::vector<float>{1.0f, 2.0f, 1.0f, 2.0f}));
    int4_gemm({nullptr, 8}, nullptr, 0, Weight::constant(1, 1.0f, 0, 2, 8, 32, false).packed, {}, {nullptr, 2});
  });
}

TEST(Int4Gemm, RefusesRowsThatAreNotFinite) {
  const Weight weight = Weight::constant(1, 1.0f, 0, 2, 4, 32, false);
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {infinity, -infinity, nan}) {
    std::vector<float> x(8, 1.0f), out(4, 7.0f);
    x[5] = bad;
    std::vector<MinMax> ranges(2);
    min_max_rows({x.data(), 4}, 2, 4, ranges.data());
    EXPECT_EQ(error_of([&] { int4_gemm({x.data(), 4}, ranges.data(), 2, weight.packed, {}, {out.data(), 2}); }),
              "int4_gemm: row 1 of x holds NaN or infinite values, or its range is missing");
    EXPECT_EQ(out, std::vector<float>(4, 7.0f));
  }
}

TEST(Int4Gemm, RefusesWhatItCannotCompute) {
  const Weight weight = Weight::constant(1, 1.0f, 0, 2, 4, 32, false);
  const Residual residual;
  EXPECT_EQ(error_of([&] { int4_gemm({}, nullptr, -1, weight.packed, {}, {}); }), "int4_gemm: rows must not be negative, got -1");
  EXPECT_EQ(error_of([&] { int4_gemm({}, nullptr, 0, weight.packed, {.residual = &residual}, {}); }),
            "int4_gemm: it takes no residual; add it to the result");
  EXPECT_EQ(error_of([&] { int4_gemm({}, nullptr, 0, weight.packed, {.upper_bound = 0.0f}, {}); }),
            "int4_gemm: the upper bound must be positive, got 0");
}

}  // namespace
}  // namespace octet::kernels
