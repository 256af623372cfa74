#include <octet/kernels/gemm.h>
#include <octet/kernels/quantize.h>

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

enum class Fill { random, normal_weights, extremes, all_255_times_127, all_255_times_minus_128 };

struct Options {
  int64_t m = 1, n = 1, k = 1;
  bool per_row = false, per_channel = false, affine = false, bias = false, relu = false;
  bool residual = false;  // of requantized output
  float upper_bound = std::numeric_limits<float>::infinity();
  Fill fill = Fill::random;
};

/// One product: guarded inputs, and the reference's answers.
struct Problem {
  explicit Problem(const Options& o)
      : options(o),
        stride(PackedWeight::padded(o.k)),
        random(static_cast<uint32_t>(o.m * 10007 + o.n * 101 + o.k)),
        weight(random_integers<int8_t>(random, o.n * o.k, -128, 127)),
        q(random_integers<uint8_t>(random, o.m * stride, 0, 255)),  // garbage in the padding, too
        scale(random_floats(random, o.per_row ? o.m : 1, 0.01f, 0.1f)),
        zero_point(random_integers<int32_t>(random, o.per_row ? o.m : 1, 0, 255)),
        weight_scale(random_floats(random, o.per_channel ? o.n : 1, 0.001f, 0.1f)),
        weight_zero_point(random_integers<int32_t>(random, o.per_channel ? o.n : 1, -128, 127)),
        bias(random_floats(random, o.n, -10.0f, 10.0f)),
        residual(random_integers<uint8_t>(random, o.m * o.n, 0, 255)) {
    if (o.fill == Fill::normal_weights) {
      weight = test::normal_weights(random, o.n * o.k);
    } else if (o.fill == Fill::extremes) {
      for (int64_t i = 0; i < q.size(); ++i) q[i] = random() % 2 ? 255 : 0;
      for (int8_t& w : weight) w = static_cast<int8_t>(std::vector<int>{-128, -127, 127}[random() % 3]);
    } else if (o.fill != Fill::random) {
      std::fill_n(q.data(), q.size(), uint8_t{255});
      std::fill(weight.begin(), weight.end(), static_cast<int8_t>(o.fill == Fill::all_255_times_127 ? 127 : -128));
    }
    for (int64_t r = 0; r < o.m; ++r) {
      for (int64_t c = 0; c < o.n; ++c) {
        const int64_t row = o.per_row ? r : 0, channel = o.per_channel ? c : 0;
        sums.push_back(reference::linear_sum(q.data() + r * stride, zero_point[row], weight.data() + c * o.k,
                                             o.affine ? weight_zero_point[channel] : 0, o.k));
        floats.push_back(reference::epilogue(sums.back(), scale[row], weight_scale[channel], o.bias ? bias[c] : 0.0f, o.relu, o.upper_bound));
      }
    }
    // A scale with which some results clamp, but most do not.
    float largest = 1e-3f;
    for (const float y : floats) largest = std::max(largest, std::abs(y));
    out_scale = largest / 150.0f;
    residual_of_epilogue = {{residual.data(), o.n}, out_scale * 0.7f, 200};
  }

  QuantizedActivations activations() const {
    return {{q.data(), stride}, options.m, scale.data(), zero_point.data(), options.per_row};
  }
  WeightQParams weight_qparams() const {
    return {weight_scale.data(), options.per_channel, options.affine ? weight_zero_point.data() : nullptr};
  }
  Epilogue epilogue() const {
    return {.bias = options.bias ? bias.data() : nullptr, .relu = options.relu, .upper_bound = options.upper_bound};
  }

  template <class Quantized>
  AffineQParams out_qparams() const {
    constexpr int32_t kLowest = std::numeric_limits<Quantized>::min();
    return {out_scale, kLowest + 100, kLowest, std::numeric_limits<Quantized>::max() - 7};
  }

  template <class Quantized>
  std::vector<Quantized> requantized() const {
    std::vector<Quantized> result;
    for (int64_t i = 0; i < static_cast<int64_t>(sums.size()); ++i) {
      const int64_t r = i / options.n, c = i % options.n;
      std::optional<reference::ResidualValue> addend;
      if (options.residual) addend = {residual[i], residual_of_epilogue.scale, residual_of_epilogue.zero_point};
      result.push_back(static_cast<Quantized>(reference::requantize(
          sums[i], scale[options.per_row ? r : 0], weight_scale[options.per_channel ? c : 0], options.bias ? bias[c] : 0.0f,
          addend, options.relu, out_qparams<Quantized>(), options.upper_bound)));
    }
    return result;
  }

  template <class Quantized>
  void expect_requantized(const PackedWeight& packed, ParallelFor parallel_for) const {
    const GuardedArray<Quantized> out(options.m * options.n);
    Epilogue with_residual = epilogue();
    if (options.residual) with_residual.residual = &residual_of_epilogue;
    gemm(activations(), packed, weight_qparams(), with_residual, out_qparams<Quantized>(),
         Matrix<Quantized>{out.data(), options.n}, parallel_for);
    ASSERT_EQ(out.values(), requantized<Quantized>()) << describe();
  }

  /// Runs all forms of the product into guarded outputs.
  void expect_exact(ParallelFor parallel_for = serial_for) const {
    const PackedWeight packed(weight.data(), options.n, options.k);
    const GuardedArray<int32_t> out(options.m * options.n);
    gemm_int32(activations(), packed, weight_qparams(), {out.data(), options.n}, parallel_for);
    ASSERT_EQ(std::vector<int64_t>(out.data(), out.data() + out.size()), sums) << describe();
    const GuardedArray<float> y(options.m * options.n);
    gemm(activations(), packed, weight_qparams(), epilogue(), {y.data(), options.n}, parallel_for);
    ASSERT_EQ(test::bits(y.values()), test::bits(floats)) << describe();
    expect_requantized<uint8_t>(packed, parallel_for);
    expect_requantized<int8_t>(packed, parallel_for);
  }

  std::string describe() const {
    return std::to_string(options.m) + " x " + std::to_string(options.n) + " x " + std::to_string(options.k) +
           (options.per_row ? " per row" : "") + (options.per_channel ? " per channel" : "") + (options.affine ? " affine" : "");
  }

  Options options;
  int64_t stride;
  Random random;
  std::vector<int8_t> weight;
  GuardedArray<uint8_t> q;
  GuardedArray<float> scale;
  GuardedArray<int32_t> zero_point;
  GuardedArray<float> weight_scale;
  GuardedArray<int32_t> weight_zero_point;
  GuardedArray<float> bias;
  GuardedArray<uint8_t> residual;
  std::vector<int64_t> sums;
  std::vector<float> floats;
  float out_scale = 1.0f;
  Residual residual_of_epilogue;
};

/// The same problem on every ISA.
void expect_exact_everywhere(const Options& options) {
  const Problem problem(options);
  for_each_isa([&] { problem.expect_exact(); });
}

TEST(Gemm, IsExactForEveryNumberOfRows) {
  for (int64_t m = 1; m <= 70; ++m) {
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{33, 40}, {16, 8}, {5, 13}}) {
      expect_exact_everywhere({.m = m, .n = n, .k = k, .per_row = m % 2 == 0, .per_channel = true, .bias = true});
    }
  }
}

TEST(Gemm, KeepsResultsBelowAnUpperBound) {
  for (const float upper_bound : {0.001f, 6.0f, 100.0f}) {
    for (const bool relu : {false, true}) {
      expect_exact_everywhere({.m = 5, .n = 19, .k = 30, .bias = true, .relu = relu, .upper_bound = upper_bound});
      expect_exact_everywhere({.m = 5, .n = 19, .k = 30, .relu = relu, .residual = true, .upper_bound = upper_bound});
    }
  }
}

TEST(Gemm, IsExactForEveryTailOfInputs) {
  for (int64_t k = 1; k <= 70; ++k) expect_exact_everywhere({.m = 3, .n = 17, .k = k, .affine = k % 3 == 0, .relu = true});
  for (const int64_t k : {255, 256, 1000, 3072}) expect_exact_everywhere({.m = 14, .n = 35, .k = k, .per_channel = true});
}

TEST(Gemm, IsExactForEveryTailOfOutputs) {
  for (int64_t n = 1; n <= 40; ++n) {
    expect_exact_everywhere({.m = 5, .n = n, .k = 21, .per_channel = n % 2 == 0, .affine = n % 3 == 0, .bias = true});
  }
}

/// @param options  their shape and fill
void expect_exact_for_every_kind_of_qparams(Options options) {
  for (int flags = 0; flags < 64; ++flags) {
    options.per_row = (flags & 1) != 0;
    options.per_channel = (flags & 2) != 0;
    options.affine = (flags & 4) != 0;
    options.bias = (flags & 8) != 0;
    options.relu = (flags & 16) != 0;
    options.residual = (flags & 32) != 0;
    expect_exact_everywhere(options);
  }
}

TEST(Gemm, IsExactForEveryKindOfQParams) { expect_exact_for_every_kind_of_qparams({.m = 50, .n = 21, .k = 34}); }

TEST(Gemm, IsExactWithWeightsOfNetworks) {
  for (int64_t m = 14; m <= kRowBlock + 14; ++m) {
    expect_exact_everywhere({.m = m, .n = 67, .k = 72, .per_channel = true, .relu = m % 2 == 0, .fill = Fill::normal_weights});
  }
  for (int64_t n = 48; n <= 80; ++n)
    expect_exact_everywhere({.m = 17, .n = n, .k = 130, .bias = true, .fill = Fill::normal_weights});
  for (int64_t k = 57; k <= 80; ++k) expect_exact_everywhere({.m = 33, .n = 64, .k = k, .fill = Fill::normal_weights});
  expect_exact_everywhere({.m = 20, .n = 64, .k = 3072, .per_channel = true, .fill = Fill::normal_weights});
  expect_exact_for_every_kind_of_qparams({.m = 40, .n = 71, .k = 100, .fill = Fill::normal_weights});
}

TEST(Gemm, DoesNotSaturate) {
  for (const Fill fill : {Fill::extremes, Fill::all_255_times_127, Fill::all_255_times_minus_128}) {
    for (const int64_t m : {1, 2, 4, 7, 13, 49}) {
      for (const int64_t k : {2, 64, 129, 1024})
        expect_exact_everywhere({.m = m, .n = 18, .k = k, .per_channel = true, .fill = fill});
    }
  }
}

TEST(Gemm, IsExactUpToTheLongestSumsThatFit) {
  expect_exact_everywhere({.m = 1, .n = 1, .k = PackedWeight::kMaxDepth, .fill = Fill::all_255_times_minus_128});
  // The extreme by hand: every product is (255 - 0) * (-128 - 127).
  const int64_t k = PackedWeight::kMaxAffineDepth;
  const std::vector<int8_t> weight(k, -128);
  const std::vector<uint8_t> q(PackedWeight::padded(k), 255);
  const int32_t zero_point = 0, weight_zero_point = 127;
  for_each_isa([&] {
    int32_t sum = 0;
    gemm_int32({.q = {q.data(), PackedWeight::padded(k)}, .rows = 1, .zero_point = &zero_point},
               PackedWeight(weight.data(), 1, k), {.zero_point = &weight_zero_point}, {&sum, 1});
    EXPECT_EQ(sum, -2'147'450'625);
  });
}

TEST(Gemm, GivesTheResultComputedByHand) {
  // Rows (3, 1) - 1 and (0, 2) - 1, columns (2, -1) and (-4, 5): sums 4, -8 and -3, 9; times 0.5 * 0.25, plus (1, -1).
  const std::vector<int8_t> weight{2, -1, -4, 5};
  const std::vector<uint8_t> q{3, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0};
  const float scale = 0.5f, weight_scale = 0.25f;
  const int32_t zero_point = 1;
  const std::vector<float> bias{1.0f, -1.0f};
  for_each_isa([&] {
    std::vector<float> out(4);
    gemm({.q = {q.data(), 8}, .rows = 2, .scale = &scale, .zero_point = &zero_point}, PackedWeight(weight.data(), 2, 2),
         {.scale = &weight_scale}, {.bias = bias.data(), .relu = true}, {out.data(), 2});
    EXPECT_EQ(out, (std::vector<float>{1.5f, 0.0f, 0.625f, 0.125f}));
  });
}

/// One activation times one weight with scales of 1: what becomes of the sum.
int32_t requantized(int32_t sum, const AffineQParams& out_qparams, const Epilogue& epilogue) {
  const std::vector<uint8_t> q{static_cast<uint8_t>(std::abs(sum)), 0, 0, 0, 0, 0, 0, 0};
  const int8_t weight = sum < 0 ? -1 : 1;
  const float one = 1.0f;
  const int32_t zero = 0;
  int8_t out = 0;
  gemm({.q = {q.data(), 8}, .rows = 1, .scale = &one, .zero_point = &zero}, PackedWeight(&weight, 1, 1), {.scale = &one},
       epilogue, out_qparams, Matrix<int8_t>{&out, 1});
  return out;
}

TEST(RequantizedGemm, RoundsHalvesToEvenAndClamps) {
  const AffineQParams half{2.0f, -3, -100, 90};  // y = sum / 2
  for_each_isa([&] {
    EXPECT_EQ(requantized(5, half, {}), -1);  // 2.5 -> 2
    EXPECT_EQ(requantized(7, half, {}), 1);   // 3.5 -> 4
    EXPECT_EQ(requantized(-5, half, {}), -5);
    EXPECT_EQ(requantized(-5, half, {.relu = true}), -3);
    EXPECT_EQ(requantized(250, half, {}), 90);
    EXPECT_EQ(requantized(-250, half, {}), -100);
    const std::vector<float> bias{4.0f};
    EXPECT_EQ(requantized(6, half, {.bias = bias.data()}), 2);  // (6 + 4) / 2 - 3
    const uint8_t seven = 7;
    const Residual residual{{&seven, 1}, 10.0f, 4};
    EXPECT_EQ(requantized(-20, half, {.residual = &residual}), 2);               // (-20 + 10 * (7 - 4)) / 2 - 3
    EXPECT_EQ(requantized(-40, half, {.relu = true, .residual = &residual}), -3);  // the relu comes last
  });
}

TEST(RequantizedGemm, DoesNotOverflowOnTheWay) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const AffineQParams tiny{1e-38f, 5, -120, 120};
  const std::vector<float> huge{3e38f}, none{std::nanf("")}, infinite{-kInfinity};
  const AffineQParams beyond{1.0f, 127, -128, 100};  // the zero point is no quantized number
  for_each_isa([&] {
    EXPECT_EQ(requantized(255, tiny, {}), 120);
    EXPECT_EQ(requantized(-255, tiny, {}), -120);
    EXPECT_EQ(requantized(0, tiny, {}), 5);
    EXPECT_EQ(requantized(1, tiny, {.bias = huge.data()}), 120);
    EXPECT_EQ(requantized(1, tiny, {.bias = infinite.data()}), -120);
    EXPECT_EQ(requantized(1, tiny, {.bias = none.data()}), -120);  // NaN becomes the lowest
    EXPECT_EQ(requantized(1, tiny, {.bias = none.data(), .relu = true}), 5);
    EXPECT_EQ(requantized(-30, beyond, {}), 97);
    EXPECT_EQ(requantized(-30, beyond, {.relu = true}), 100);
  });
}

// Where bytes have all of their range, nothing limits what fits int32 but their saturation; what does not fit has to be limited.
TEST(RequantizedGemm, DoesNotOverflowOnTheWayToBytesOfAllValues) {
  constexpr int64_t kRows = 20, kWeights = 32, kDepth = 8;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<uint8_t> q(kRows * kDepth, 255);
  std::vector<int8_t> weight(kWeights * kDepth);
  for (int64_t c = 0; c < kWeights; ++c) std::fill_n(&weight[c * kDepth], kDepth, c % 2 == 0 ? 127 : -128);
  const std::vector<float> scales(kRows, 1.0f);
  const std::vector<int32_t> zero_points(kRows, 0);
  const float one = 1.0f;
  // Sums times 1 / scale: from ones that are bytes to ones beyond float32.
  for (const float scale : {2048.0f, 1.0f, 1e-3f, 2.5e-4f, 2.4e-4f, 1e-4f, 1e-38f}) {
    for (const float strange : {0.0f, kInfinity, -kInfinity, std::nanf("")}) {
      std::vector<float> bias(kWeights, 0.0f);
      bias[6] = bias[7] = strange;
      for_each_isa([&] {
        std::vector<uint8_t> out(kRows * kWeights);
        gemm({.q = {q.data(), kDepth}, .rows = kRows, .scale = scales.data(), .zero_point = zero_points.data()},
             PackedWeight(weight.data(), kWeights, kDepth), {.scale = &one}, {.bias = bias.data()},
             AffineQParams{scale, 5, 0, 255}, Matrix<uint8_t>{out.data(), kWeights});
        for (int64_t i = 0; i < kRows * kWeights; ++i) {
          const int64_t column = i % kWeights;
          const double sum = 255.0 * kDepth * weight[column * kDepth] + bias[column];
          const double expected = std::isnan(sum) ? 0.0 : std::clamp(std::nearbyint(sum / scale) + 5.0, 0.0, 255.0);
          ASSERT_EQ(out[i], expected) << "scale " << scale << ", bias " << bias[column] << ", column " << column;
        }
      });
    }
  }
}

TEST(RequantizedGemm, AddsAResidualForEveryTailOfOutputsAndRows) {
  for (int64_t n = 1; n <= 50; ++n) {
    expect_exact_everywhere({.m = n % 13 + 1, .n = n, .k = 12, .per_channel = true, .bias = true, .relu = n % 2 == 0, .residual = true});
  }
}

// Sums of these lengths are requantized in registers, or, the longest, not any more; with fewer rows at once the longer they are.
TEST(RequantizedGemm, IsExactForLongSums) {
  for (const int64_t k : {639, 991, 1000, 1152, 2304, 2305}) {
    for (const int64_t m : {1, 24, 59, 61}) {
      expect_exact_everywhere({.m = m, .n = 35, .k = k, .per_channel = true, .bias = true, .residual = m == 59});
    }
  }
}

TEST(RequantizedGemm, LeavesWhatLiesBetweenTheRowsAlone) {
  const Problem problem({.m = 3, .n = 18, .k = 8});
  const std::vector<uint8_t> expected = problem.requantized<uint8_t>();
  for_each_isa([&] {
    std::vector<uint8_t> out(3 * 25, 42);
    gemm(problem.activations(), PackedWeight(problem.weight.data(), 18, 8), problem.weight_qparams(), {},
         problem.out_qparams<uint8_t>(), Matrix<uint8_t>{out.data(), 25});
    for (int64_t r = 0; r < 3; ++r) {
      for (int64_t c = 0; c < 25; ++c) ASSERT_EQ(out[r * 25 + c], c < 18 ? expected[r * 18 + c] : 42);
    }
  });
}

TEST(RequantizedGemm, NamesWhatIsWrongWithItsArguments) {
  const Problem problem({.m = 1, .n = 2, .k = 8});
  const PackedWeight packed(problem.weight.data(), 2, 8);
  std::vector<uint8_t> out(2, 42);
  const auto run = [&](const AffineQParams& out_qparams, const Epilogue& epilogue = {}) {
    return error_of([&] {
      gemm(problem.activations(), packed, problem.weight_qparams(), epilogue, out_qparams, Matrix<uint8_t>{out.data(), 2});
    });
  };
  EXPECT_EQ(run({.scale = 0.0f}), "gemm: scale must be positive and finite, got 0");
  EXPECT_EQ(run({.zero_point = -1}), "gemm: zero point -1 is not in 0 .. 255");
  EXPECT_EQ(run({.quant_min = -128, .quant_max = 127}),
            "gemm: quantization range -128 .. 127 is empty or not within 0 .. 255");
  Residual residual{{problem.residual.data(), 2}, -1.0f, 0};
  EXPECT_EQ(run({}, {.residual = &residual}), "gemm: the residual's scale must be positive and finite, got -1");
  residual = {{problem.residual.data(), 2}, 1.0f, 256};
  EXPECT_EQ(run({}, {.residual = &residual}), "gemm: the residual's zero point 256 is not in 0 .. 255");
  residual = {{problem.residual.data(), 1}, 1.0f, 0};
  EXPECT_EQ(run({}, {.residual = &residual}), "gemm: the residual's stride is 1, which is less than its 2 columns");
  EXPECT_EQ(out, (std::vector<uint8_t>{42, 42}));
  float y = 0.0f;
  EXPECT_EQ(error_of([&] {
              gemm(problem.activations(), packed, problem.weight_qparams(), {.residual = &residual}, Matrix<float>{&y, 2});
            }),
            "gemm: float output takes no residual; add it to the result, or ask for requantized output");
}

TEST(Gemm, DoesNotDependOnThreads) {
  const Problem problem({.m = 101,
                         .n = 75,
                         .k = 50,
                         .per_row = true,
                         .per_channel = true,
                         .affine = true,
                         .bias = true,
                         .residual = true});
  for_each_isa([&] { problem.expect_exact(test::three_threads_for); });
}

TEST(Gemm, ServesManyThreadsFromOneWeight) {
  const Problem problem({.m = 9, .n = 40, .k = 33, .per_channel = true, .bias = true});
  const PackedWeight packed(problem.weight.data(), 40, 33);
  std::vector<std::vector<float>> outs(4, std::vector<float>(9 * 40));
  std::vector<std::thread> threads;
  for (auto& out : outs) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i)
        gemm(problem.activations(), packed, problem.weight_qparams(), problem.epilogue(), {out.data(), 40});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& out : outs) EXPECT_EQ(test::bits(out), test::bits(problem.floats));
}

TEST(Gemm, GivesARowTheSameResultInEveryBatch) {
  const Problem problem({.m = 60, .n = 37, .k = 29, .per_row = true, .per_channel = true, .affine = true, .bias = true});
  const PackedWeight packed(problem.weight.data(), 37, 29);
  for_each_isa([&] {
    for (int64_t r = 0; r < 60; ++r) {
      std::vector<float> alone(37);
      gemm({.q = {problem.q.data() + r * problem.stride, problem.stride},
            .rows = 1,
            .scale = &problem.scale[r],
            .zero_point = &problem.zero_point[r],
            .per_row = true},
           packed, problem.weight_qparams(), problem.epilogue(), {alone.data(), 37});
      ASSERT_EQ(test::bits(alone), test::bits(std::span(problem.floats).subspan(r * 37, 37)));
    }
  });
}

TEST(Gemm, TakesRowSumsFromTheQuantizer) {
  Random random(5);
  const int64_t m = 6, n = 20, k = 45, stride = 48;
  const auto x = random_floats(random, m * k, -3.0f, 5.0f);
  const auto weight = random_integers<int8_t>(random, n * k, -128, 127);
  const float scale = 8.0f / 255.0f;
  const int32_t zero_point = 96, weight_zero_point = -7;
  for_each_isa([&] {
    std::vector<uint8_t> q(m * stride);
    std::vector<int32_t> row_sums(m), with(m * n), without(m * n);
    quantize_rows({x.data(), k}, m, k, {&scale, &zero_point}, {q.data(), stride}, row_sums.data());
    QuantizedActivations activations{.q = {q.data(), stride}, .rows = m, .zero_point = &zero_point};
    const PackedWeight packed(weight.data(), n, k);
    gemm_int32(activations, packed, {.zero_point = &weight_zero_point}, {without.data(), n});
    activations.row_sums = row_sums.data();
    gemm_int32(activations, packed, {.zero_point = &weight_zero_point}, {with.data(), n});
    EXPECT_EQ(with, without);
  });
}

TEST(Gemm, TakesSignedActivationsWithTheTopBitFlipped) {
  Random random(6);
  const auto a = random_integers<int8_t>(random, 40, -128, 127);
  const auto weight = random_integers<int8_t>(random, 40, -128, 127);
  std::vector<uint8_t> q(40);
  for (size_t i = 0; i < 40; ++i) q[i] = static_cast<uint8_t>(a[i] ^ 0x80);
  int64_t expected = 0;
  for (size_t i = 0; i < 40; ++i) expected += (a[i] - -5) * weight[i];
  const int32_t zero_point = -5 + 128;
  for_each_isa([&] {
    int32_t sum = 0;
    gemm_int32({.q = {q.data(), 40}, .rows = 1, .zero_point = &zero_point}, PackedWeight(weight.data(), 1, 40), {}, {&sum, 1});
    EXPECT_EQ(sum, expected);
  });
}

TEST(Gemm, LeavesWhatLiesBetweenTheRowsAlone) {
  const Problem problem({.m = 3, .n = 18, .k = 8});
  for_each_isa([&] {
    std::vector<float> out(3 * 25, 42.0f);
    gemm(problem.activations(), PackedWeight(problem.weight.data(), 18, 8), problem.weight_qparams(), {}, {out.data(), 25});
    for (int64_t r = 0; r < 3; ++r) {
      for (int64_t c = 0; c < 25; ++c) ASSERT_EQ(out[r * 25 + c], c < 18 ? problem.floats[r * 18 + c] : 42.0f);
    }
  });
}

TEST(Gemm, KeepsNaNThroughRelu) {
  const Problem problem({.m = 1, .n = 3, .k = 4});
  const std::vector<float> bias(3, std::nanf(""));
  for_each_isa([&] {
    std::vector<float> out(3);
    gemm(problem.activations(), PackedWeight(problem.weight.data(), 3, 4), problem.weight_qparams(), {bias.data(), true},
         {out.data(), 3});
    for (const float y : out) EXPECT_TRUE(std::isnan(y));
  });
}

TEST(Gemm, HandlesEmptyMatrices) {
  const float scale = 1.0f;
  const int32_t zero_point = 3;
  const std::vector<float> bias{1.5f, -2.5f};
  for_each_isa([&] {
    std::vector<float> out(2);
    gemm({.q = {nullptr, 0}, .rows = 1, .scale = &scale, .zero_point = &zero_point}, PackedWeight(nullptr, 2, 0), {&scale},
         {bias.data()}, {out.data(), 2});
    EXPECT_EQ(out, bias);
    gemm({.q = {nullptr, 8}}, PackedWeight(std::vector<int8_t>(16).data(), 2, 8), {&scale}, {}, {nullptr, 2});
    gemm({.q = {nullptr, 8}, .rows = 1, .scale = &scale, .zero_point = &zero_point}, PackedWeight(nullptr, 0, 8), {}, {},
         {nullptr, 0});
  });
}

TEST(Gemm, NamesWhatIsWrongWithItsArguments) {
  const std::vector<int8_t> weight(PackedWeight::kMaxAffineDepth + 1);
  const std::vector<uint8_t> q(PackedWeight::padded(weight.size()));
  const float scale = 1.0f;
  int32_t zero_point = 256, weight_zero_point = 128, sum = 0;
  const auto run = [&](int64_t k, int64_t stride, const float* scale, const int32_t* zero_point,
                       const int32_t* weight_zero_point) {
    return error_of([&] {
      float y = 0.0f;
      const PackedWeight packed(weight.data(), 1, k);
      const QuantizedActivations activations{.q = {q.data(), stride}, .rows = 1, .scale = scale, .zero_point = zero_point};
      gemm_int32(activations, packed, {.zero_point = weight_zero_point}, {&sum, 1});
      gemm(activations, packed, {scale}, {}, {&y, 1});
    });
  };
  EXPECT_EQ(run(9, 15, &scale, &zero_point, nullptr),
            "gemm: activations' stride is 15 bytes, but the kernels read PackedWeight::padded_k() = 16 bytes of each row");
  EXPECT_EQ(run(8, 8, &scale, &zero_point, nullptr), "gemm: activations' zero point 256 of row 0 is not in 0 .. 255");
  EXPECT_EQ(run(8, 8, &scale, nullptr, nullptr), "gemm: activations have no zero point");
  zero_point = 0;
  EXPECT_EQ(run(8, 8, nullptr, &zero_point, nullptr), "gemm: activations have no scale");
  EXPECT_EQ(run(8, 8, &scale, &zero_point, &weight_zero_point),
            "gemm: weights' zero point 128 of channel 0 is not in -128 .. 127");
  weight_zero_point = 0;
  EXPECT_EQ(run(33'026, 33'032, &scale, &zero_point, &weight_zero_point),
            "gemm: with weight zero points k must be at most 33025, got 33026: a longer sum may not fit int32; "
            "quantize the weights "
            "symmetrically");
}

}  // namespace
}  // namespace octet::kernels
