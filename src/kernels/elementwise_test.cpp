#include <octet/kernels/elementwise.h>

#include <limits>
#include <numbers>

#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::bits;
using test::for_each_isa;
using test::GuardedArray;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Function {
  const char* name;
  void (*kernel)(const float*, int64_t, float*, ParallelFor);
  double (*exact)(double);
};

double exact_gelu(double x) { return x / 2 * std::erfc(-x * std::numbers::sqrt2 / 2); }

const Function kFunctions[] = {
    {"sigmoid", sigmoid, [](double x) { return 1.0 / (1.0 + std::exp(-x)); }},
    {"tanh", tanh, [](double x) { return std::tanh(x); }},
    {"gelu", gelu, exact_gelu},
};

/// Values of every sign, exponent and leading mantissa bits: NaNs, infinities and denormals among them.
std::vector<float> all_over_the_line() {
  std::vector<float> values;
  for (uint64_t pattern = 0; pattern <= 0xffffffff; pattern += 9973)
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(pattern)));
  for (int i = -110'000; i <= 110'000; ++i) values.push_back(static_cast<float>(i) * 0.001f);
  values.insert(values.end(), {0.0f, -0.0f, kInf, -kInf, kNaN, 0.625f, std::nextafter(0.625f, 0.0f), -88.5f, -103.9f});
  return values;
}

/// How many units in the last place y is away; a unit is never smaller than that of the smallest normal number.
double units(float y, double exact) {
  const double magnitude = std::max(std::fabs(exact), double{std::numeric_limits<float>::min()});
  return std::fabs(y - exact) / std::ldexp(1.0, std::ilogb(magnitude) - 23);
}

TEST(Elementwise, IsWithinThreeUnitsInTheLastPlace) {
  const std::vector<float> x = all_over_the_line();
  std::vector<float> y(x.size());
  for (const Function& function : kFunctions) {
    if (function.kernel == gelu) continue;
    function.kernel(x.data(), static_cast<int64_t>(x.size()), y.data(), serial_for);
    double worst = 0.0, worst_x = 0.0;
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        ASSERT_TRUE(std::isnan(y[i]));
        continue;
      }
      const double exact = function.exact(x[i]);
      if (std::fabs(exact) < std::numeric_limits<float>::min()) {
        ASSERT_LT(std::fabs(y[i] - exact), 1.2e-38) << function.name << " of " << x[i];
      } else if (units(y[i], exact) > worst) {
        worst = units(y[i], exact);
        worst_x = x[i];
      }
    }
    EXPECT_LT(worst, 3.0) << function.name << " of " << worst_x;
    RecordProperty(std::string(function.name) + "_units", std::to_string(worst));
  }
}

TEST(Elementwise, GeluIsNearItsArgumentTimesTheNormalDistribution) {
  const std::vector<float> x = all_over_the_line();
  std::vector<float> y(x.size());
  gelu(x.data(), static_cast<int64_t>(x.size()), y.data());
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) || x[i] == -kInf) {
      ASSERT_TRUE(std::isnan(y[i]));
    } else if (x[i] == kInf) {
      ASSERT_EQ(y[i], kInf);
    } else {
      ASSERT_NEAR(y[i], exact_gelu(x[i]), 2e-7 * std::fabs(x[i]) + std::numeric_limits<float>::denorm_min()) << "of " << x[i];
    }
  }
}

TEST(Elementwise, GivesTheSameBitsOnEveryIsa) {
  const std::vector<float> x = all_over_the_line();
  const int64_t n = static_cast<int64_t>(x.size());
  for (const Function& function : kFunctions) {
    std::vector<float> reference(x.size());
    {
      const ScopedIsa scalar(Isa::scalar);
      function.kernel(x.data(), n, reference.data(), serial_for);
    }
    for_each_isa([&] {
      std::vector<float> y(x.size());
      function.kernel(x.data(), n, y.data(), serial_for);
      EXPECT_EQ(bits(y), bits(reference)) << function.name;
    });
  }
}

TEST(Elementwise, TakesAnyLengthAndWorksInPlace) {
  for_each_isa([&] {
    for (const Function& function : kFunctions) {
      for (int64_t n = 0; n <= 20; ++n) {
        const GuardedArray<float> x(n);
        std::vector<float> expected(n);
        for (int64_t i = 0; i < n; ++i) {
          x[i] = static_cast<float>(i) - 7.5f;
          function.kernel(&x[i], 1, &expected[i], serial_for);
        }
        function.kernel(x.data(), n, x.data(), test::three_threads_for);
        ASSERT_EQ(x.values(), expected);
      }
    }
  });
}

TEST(Elementwise, ReachesItsLimits) {
  for_each_isa([&] {
    const std::vector<float> x{-kInf, -200.0f, 0.0f, 200.0f, kInf, -0.0f};
    std::vector<float> y(6);
    sigmoid(x.data(), 6, y.data());
    EXPECT_EQ(y, (std::vector<float>{0.0f, 0.0f, 0.5f, 1.0f, 1.0f, 0.5f}));
    tanh(x.data(), 6, y.data());
    EXPECT_EQ(y, (std::vector<float>{-1.0f, -1.0f, 0.0f, 1.0f, 1.0f, 0.0f}));
    EXPECT_TRUE(std::signbit(y[5]));
  });
}

}  // namespace
}  // namespace octet::kernels
