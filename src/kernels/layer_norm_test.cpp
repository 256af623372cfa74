#include <octet/kernels/layer_norm.h>

#include "kernels/reference.h"
#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::bits;
using test::for_each_isa;
using test::GuardedArray;
using test::Random;
using test::random_floats;

constexpr float kEps = 1e-5f;

TEST(LayerNorm, FollowsItsFormulaOnEveryIsa) {
  for_each_isa([] {
    Random random(1);
    constexpr int64_t kRows = 4;
    for (const int64_t n : {1, 2, 7, 8, 15, 16, 17, 24, 31, 40, 384}) {
      const int64_t stride = n + 3;
      const GuardedArray<float> x(random_floats(random, (kRows - 1) * stride + n, -3.0f, 5.0f));
      const GuardedArray<float> residual(random_floats(random, kRows * n, -3.0f, 3.0f));
      const GuardedArray<float> weight(random_floats(random, n, 0.5f, 2.0f)), bias(random_floats(random, n, -1.0f, 1.0f));
      const Matrix<const float> residuals{residual.data(), n};
      for (const auto* const added : {static_cast<const Matrix<const float>*>(nullptr), &residuals}) {
        const GuardedArray<float> out(kRows * n);
        layer_norm({x.data(), stride}, added, kRows, n, kEps, weight.data(), bias.data(), {out.data(), n},
                   test::three_threads_for);
        std::vector<float> expected(kRows * n);
        for (int64_t row = 0; row < kRows; ++row) {
          float* const z = &expected[row * n];
          for (int64_t i = 0; i < n; ++i) z[i] = added ? x[row * stride + i] + residual[row * n + i] : x[row * stride + i];
          reference::layer_norm_row(z, n, kEps, weight.data(), bias.data());
        }
        ASSERT_EQ(bits(out.values()), bits(expected)) << n << " columns";
      }
    }
  });
}

TEST(LayerNorm, HasMeanZeroAndVarianceOne) {
  for_each_isa([] {
    Random random(2);
    constexpr int64_t kColumns = 500;
    std::vector<float> x = random_floats(random, kColumns, 10.0f, 11.0f);
    const std::vector<float> ones(kColumns, 1.0f), zeros(kColumns);
    layer_norm({x.data(), kColumns}, nullptr, 1, kColumns, 0.0f, ones.data(), zeros.data(), {x.data(), kColumns});  // in place
    double sum = 0.0, squares = 0.0;
    for (const float y : x) {
      sum += y;
      squares += double{y} * y;
    }
    EXPECT_NEAR(sum / kColumns, 0.0, 1e-4);
    EXPECT_NEAR(squares / kColumns, 1.0, 1e-4);
  });
}

TEST(LayerNorm, KeepsNaNsInTheirRow) {
  for_each_isa([] {
    std::vector<float> x{1.0f, std::numeric_limits<float>::quiet_NaN(), 1.0f, 3.0f};
    const std::vector<float> ones(2, 1.0f), zeros(2);
    layer_norm({x.data(), 2}, nullptr, 2, 2, 0.0f, ones.data(), zeros.data(), {x.data(), 2});
    EXPECT_TRUE(std::isnan(x[0]) && std::isnan(x[1]));
    EXPECT_EQ(x[2], -1.0f);
    EXPECT_EQ(x[3], 1.0f);
  });
}

}  // namespace
}  // namespace octet::kernels
