#include <octet/kernels/fake_quantize.h>
#include <octet/kernels/quantize.h>

#include <limits>

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

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr int32_t kLowest = std::numeric_limits<int32_t>::min(), kHighest = std::numeric_limits<int32_t>::max();

std::vector<float> awkward_values(int64_t count) {
  std::vector<float> values{0.0f, -0.0f, kInf, -kInf, kNaN, 1e-40f, -1e-40f, 3e38f, -3e38f, 2147483648.0f, -2147483648.0f};
  for (int i = -300; i <= 300; ++i) values.push_back(static_cast<float>(i) * 0.25f);  // every tie at scale 0.5
  Random random(7);
  std::shuffle(values.begin(), values.end(), random);
  for (const float value : random_floats(random, std::max<int64_t>(0, count - std::ssize(values)), -90.0f, 90.0f))
    values.push_back(value);
  values.resize(count);
  return values;
}

/// The definition, in double, where nothing overflows or is rounded on the way.
struct Expected {
  float value;
  bool passes;
};

Expected expected_of(float x, const AffineQParams& p) {
  const float scaled = x * (1.0f / p.scale);
  const double rounded = std::nearbyint(double{scaled}) + p.zero_point;
  const double q = std::isnan(scaled) ? p.quant_min : std::clamp<double>(rounded, p.quant_min, p.quant_max);
  return {static_cast<float>(q - p.zero_point) * p.scale, p.quant_min <= rounded && rounded <= p.quant_max};
}

struct Result {
  std::vector<float> out;
  std::vector<uint8_t> mask;
};

Result fake_quantized(const std::vector<float>& values, const ChannelLayout& layout, const ChannelQParams& qparams,
                      ParallelFor parallel_for = serial_for) {
  const GuardedArray<float> x(values), out(static_cast<int64_t>(values.size()));
  const GuardedArray<uint8_t> mask(std::vector<uint8_t>(layout.mask_bytes(), 0xa5));
  fake_quantize(x.data(), layout, qparams, out.data(), mask.data(), parallel_for);
  return {out.values(), mask.values()};
}

TEST(FakeQuantize, RoundsAndClampsAndSaysWhichOfTheTwoOnEveryIsa) {
  const std::vector<AffineQParams> grid = {{0.5f, 0, 0, 255},      {0.5f, 128, 0, 255},          {0.5f, 3, 0, 3},
                                           {0.5f, 0, -2, 1},       {0.013f, 77, 3, 200},         {1e-30f, 9, 0, 255},
                                           {1e30f, -9, -128, 127}, {1e-45f, 5, 0, 15},           {0.07f, 0, -8192, 8191},
                                           {0.5f, 7, 7, 7},        {1e-6f, 0, kLowest, kHighest}};
  for_each_isa([&] {
    for (const AffineQParams& p : grid) {
      SCOPED_TRACE(::testing::Message() << p.scale << ' ' << p.zero_point << ' ' << p.quant_min << ' ' << p.quant_max);
      for (int64_t n = 0; n <= 700; n += n < 70 ? 1 : 105) {
        const std::vector<float> x = awkward_values(n);
        const auto [out, mask] = fake_quantized(x, {.inner = n}, {&p.scale, &p.zero_point, p.quant_min, p.quant_max});
        for (int64_t i = 0; i < n; ++i) {
          const auto [value, passes] = expected_of(x[i], p);
          ASSERT_EQ(bits({&out[i], 1}), bits({&value, 1})) << x[i] << " gave " << out[i] << ", not " << value;
          ASSERT_EQ(mask[i / 8] >> (i % 8) & 1, passes) << x[i];
        }
        ASSERT_EQ(n % 8 ? mask.back() >> (n % 8) : 0, 0);
      }
    }
  });
}

TEST(FakeQuantize, GivesTheResultComputedByHand) {
  // At scale 0.5 and in 0 .. 3 around zero point 1, -0.75 and 1.25 are the ties that decide: -1.5 and 2.5 steps go to even ones.
  const std::vector<float> x{-0.75f, -0.5f, -0.25f, 0.3f, 1.0f, 1.25f, 1.3f, kInf, -kInf, kNaN};
  const float scale = 0.5f;
  const int32_t zero_point = 1;
  for_each_isa([&] {
    const auto [out, mask] = fake_quantized(x, {.inner = 10}, {&scale, &zero_point, 0, 3});
    EXPECT_EQ(out, (std::vector<float>{-0.5f, -0.5f, 0.0f, 0.5f, 1.0f, 1.0f, 1.0f, 1.0f, -0.5f, -0.5f}));
    EXPECT_FALSE(std::signbit(out[2]));
    EXPECT_EQ(mask, (std::vector<uint8_t>{0b0011'1110, 0}));
  });
}

TEST(FakeQuantize, IsWhatDequantizingAfterQuantizingGives) {
  const std::vector<float> x = awkward_values(1000);
  for (const AffineQParams& p : {AffineQParams{0.5f, 128, 0, 255}, {0.03f, 7, 0, 127}, {1e-45f, 5, 0, 15}}) {
    std::vector<uint8_t> q(x.size());
    std::vector<float> expected(x.size());
    quantize(x.data(), 1000, p, q.data());
    dequantize(q.data(), 1000, p, expected.data());
    for_each_isa([&] {
      const auto out = fake_quantized(x, {.inner = 1000}, {&p.scale, &p.zero_point, p.quant_min, p.quant_max}).out;
      EXPECT_EQ(bits(out), bits(expected));
    });
  }
}

TEST(FakeQuantize, TakesTheQParamsOfTheChannelsWhereverTheyLieAndOnAnyNumberOfThreads) {
  Random random(3);
  for (const ChannelLayout& layout : {ChannelLayout{1, 5, 9}, {3, 4, 1}, {2, 3, 70}, {1, 1, 40'000}, {7, 2, 8}, {2, 3, 0}}) {
    const int64_t n = layout.rows() * layout.inner;
    const std::vector<float> x = random_floats(random, n, -2.0f, 2.0f),
                             scale = random_floats(random, layout.channels, 0.1f, 0.3f);
    const auto zero_point = random_integers<int32_t>(random, layout.channels, -8, 7);
    const std::vector<float> grad = random_floats(random, n, -1.0f, 1.0f);
    const ChannelQParams qparams{scale.data(), zero_point.data(), -8, 7};
    for_each_isa([&] {
      const auto [out, mask] = fake_quantized(x, layout, qparams);
      const auto threaded = fake_quantized(x, layout, qparams, test::three_threads_for);
      EXPECT_EQ(bits(threaded.out), bits(out));
      EXPECT_EQ(threaded.mask, mask);
      std::vector<float> without_mask = x;
      fake_quantize(without_mask.data(), layout, qparams, without_mask.data());
      EXPECT_EQ(bits(without_mask), bits(out));

      const GuardedArray<float> grad_in(grad);
      fake_quantize_backward(grad_in.data(), layout, mask.data(), grad_in.data(), test::three_threads_for);
      for (int64_t i = 0; i < n; ++i) {
        const int64_t channel = i / layout.inner % layout.channels;
        const auto [value, passes] = expected_of(x[i], {scale[channel], zero_point[channel], -8, 7});
        ASSERT_EQ(out[i], value);
        ASSERT_EQ(bits({&grad_in[i], 1}), bits(std::vector<float>{passes ? grad[i] : 0.0f}));
      }
    });
  }
}

TEST(FakeQuantize, LetsNoGradientPassThatIsNotANumberWhereItClamped) {
  const std::vector<float> grad{kNaN, kInf, -1.0f, kNaN, -2.0f, 0.0f, kInf, 1.0f, kNaN};
  const std::vector<uint8_t> mask{0b0001'0000, 1};
  for_each_isa([&] {
    std::vector<float> grad_in(9, 5.0f);
    fake_quantize_backward(grad.data(), {.inner = 9}, mask.data(), grad_in.data());
    EXPECT_EQ(bits(grad_in), bits(std::vector<float>{0, 0, 0, 0, -2.0f, 0, 0, 0, kNaN}));
  });
}

TEST(FakeQuantize, LearnsScalesAndZeroPointsByTheGradientsOfTheDefinition) {
  Random random(5);
  for (const ChannelLayout& layout : {ChannelLayout{1, 5, 9}, {3, 4, 1}, {2, 3, 70}, {1, 1, 40'000}, {7, 2, 16}, {2, 3, 0}}) {
    const int64_t n = layout.rows() * layout.inner;
    const GuardedArray<float> x(random_floats(random, n, -2.0f, 2.0f)), grad(random_floats(random, n, -1.0f, 1.0f));
    const std::vector<float> scale = random_floats(random, layout.channels, 0.1f, 0.3f);
    const auto zero_point = random_integers<int32_t>(random, layout.channels, -8, 7);
    std::vector<double> by_scale(layout.channels), by_zero_point(layout.channels), magnitude(layout.channels);
    std::vector<float> passed(n);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t channel = i / layout.inner % layout.channels;
      const auto [value, passes] = expected_of(x[i], {scale[channel], zero_point[channel], -8, 7});
      const double steps = double{x[i]} / scale[channel], q = double{value} / scale[channel];
      by_scale[channel] += grad[i] * (passes ? q - steps : q);
      by_zero_point[channel] -= passes ? 0.0 : double{grad[i]} * scale[channel];
      magnitude[channel] += std::fabs(grad[i]) * 15;
      passed[i] = passes ? grad[i] : 0.0f;
    }
    std::vector<uint32_t> first_bits;
    for_each_isa([&] {
      for (const ParallelFor parallel_for : {ParallelFor{serial_for}, ParallelFor{test::three_threads_for}}) {
        const GuardedArray<float> grad_in(n), grad_scale(layout.channels), grad_zero_point(layout.channels);
        fake_quantize_learnable_backward(x.data(), grad.data(), layout, {scale.data(), zero_point.data(), -8, 7}, grad_in.data(),
                                         grad_scale.data(), grad_zero_point.data(), parallel_for);
        EXPECT_EQ(bits(grad_in.values()), bits(passed));
        for (int64_t channel = 0; channel < layout.channels; ++channel) {
          ASSERT_NEAR(grad_scale[channel], by_scale[channel], 1e-6 * magnitude[channel]);
          ASSERT_NEAR(grad_zero_point[channel], by_zero_point[channel], 1e-6 * magnitude[channel]);
        }
        auto sums = grad_scale.values();
        for (const float sum : grad_zero_point.values()) sums.push_back(sum);
        if (first_bits.empty()) first_bits = bits(sums);
        EXPECT_EQ(bits(sums), first_bits);
      }
    });
  }
}

TEST(FakeQuantize, NamesWhatIsWrongWithItsArgumentsBeforeItWrites) {
  const auto run = [&](std::vector<float> scale, std::vector<int32_t> zero_point, int32_t quant_min, int32_t quant_max) {
    std::vector<float> x{1.0f, 2.0f}, out{7.0f, 7.0f};
    const std::string error = error_of(
        [&] { fake_quantize(x.data(), {1, 2, 1}, {scale.data(), zero_point.data(), quant_min, quant_max}, out.data()); });
    EXPECT_EQ(out, (std::vector<float>{7.0f, 7.0f}));
    return error;
  };
  EXPECT_EQ(run({1.0f, 0.0f}, {0, 0}, 0, 255), "fake_quantize: scale must be positive and finite, got 0");
  EXPECT_EQ(run({1.0f, kInf}, {0, 0}, 0, 255), "fake_quantize: scale must be positive and finite, got inf");
  EXPECT_EQ(run({1.0f, 1.0f}, {0, 9}, 0, 8), "fake_quantize: zero point 9 is not in 0 .. 8");
  EXPECT_EQ(run({1.0f, 1.0f}, {0, 0}, 5, 4), "fake_quantize: quantization range 5 .. 4 is empty");
}

}  // namespace
}  // namespace octet::kernels
