#pragma once

#include <octet/kernels/convolution.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "kernels/reference.h"
#include "kernels/test_support.h"

namespace octet::kernels::test {

enum class Fill { random, normal_weights, all_255_times_127, all_255_times_minus_128, all_0_times_127 };

struct Options {
  ConvolutionGeometry geometry;
  int64_t batch = 1;
  Spatial size{1, 1, 1};
  bool per_channel = true, affine = false, bias = true, relu = false, residual = false;
  std::optional<int32_t> zero_point{};
  Fill fill = Fill::random;
};

inline std::string text(const Spatial& s) {
  return std::to_string(s[0]) + "x" + std::to_string(s[1]) + "x" + std::to_string(s[2]);
}

/// One convolution: guarded inputs, and the reference's answers.
struct Problem {
  explicit Problem(const Options& o)
      : options(o),
        g(o.geometry),
        out_size(g.output_size(o.size)),
        pixels(out_size[0] * out_size[1] * out_size[2]),
        image(o.size[0] * o.size[1] * o.size[2] * g.in_channels),
        random(static_cast<uint32_t>(image * 101 + g.out_channels * 7 + g.taps())),
        weight(random_integers<int8_t>(random, g.out_channels * g.taps() * (g.in_channels / g.groups), -128, 127)),
        q(random_integers<uint8_t>(random, o.batch * image, 0, 255)),
        zero_point(o.zero_point.value_or(static_cast<int32_t>(random() % 256))),
        weight_scale(random_floats(random, o.per_channel ? g.out_channels : 1, 0.001f, 0.1f)),
        weight_zero_point(random_integers<int32_t>(random, o.per_channel ? g.out_channels : 1, -128, 127)),
        bias(random_floats(random, g.out_channels, -10.0f, 10.0f)),
        residual(random_integers<uint8_t>(random, o.batch * pixels * g.out_channels, 0, 255)) {
    if (o.fill == Fill::normal_weights) {
      weight = normal_weights(random, static_cast<int64_t>(weight.size()));
    } else if (o.fill != Fill::random) {
      std::fill_n(q.data(), q.size(), static_cast<uint8_t>(o.fill == Fill::all_0_times_127 ? 0 : 255));
      std::fill(weight.begin(), weight.end(), static_cast<int8_t>(o.fill == Fill::all_255_times_minus_128 ? -128 : 127));
    }
    // A scale with which some results clamp, but most do not.
    float largest = 1e-3f;
    for (int64_t i = 0; i < o.batch * pixels * g.out_channels; ++i) {
      const int64_t channel = i % g.out_channels, pixel = i / g.out_channels % pixels;
      const Spatial at{pixel / out_size[2] / out_size[1], pixel / out_size[2] % out_size[1], pixel % out_size[2]};
      sums.push_back(reference::convolution_sum(g, q.data() + i / g.out_channels / pixels * image, o.size, zero_point,
                                                weight.data(), o.affine ? weight_zero_point[of(channel)] : 0, at, channel));
      largest = std::max(largest, std::abs(static_cast<float>(sums.back()) * scale * weight_scale[of(channel)]));
    }
    out_scale = largest / 150.0f;
    residual_of_epilogue = {{residual.data(), g.out_channels}, out_scale * 0.6f, 130};
  }

  int64_t of(int64_t channel) const { return options.per_channel ? channel : 0; }

  ConvolutionInput input() const { return {q.data(), options.batch, options.size, scale, zero_point}; }
  WeightQParams weight_qparams() const {
    return {weight_scale.data(), options.per_channel, options.affine ? weight_zero_point.data() : nullptr};
  }
  Epilogue epilogue() const {
    return {options.bias ? bias.data() : nullptr, options.relu, options.residual ? &residual_of_epilogue : nullptr};
  }
  template <class Quantized>
  AffineQParams out_qparams() const {
    constexpr int32_t kLowest = std::numeric_limits<Quantized>::min();
    return {out_scale, kLowest + 110, kLowest, std::numeric_limits<Quantized>::max()};
  }

  template <class Quantized>
  std::vector<Quantized> expected() const {
    std::vector<Quantized> result;
    for (int64_t i = 0; i < static_cast<int64_t>(sums.size()); ++i) {
      const int64_t channel = i % g.out_channels;
      std::optional<reference::ResidualValue> addend;
      if (options.residual) addend = {residual[i], residual_of_epilogue.scale, residual_of_epilogue.zero_point};
      result.push_back(static_cast<Quantized>(reference::requantize(sums[i], scale, weight_scale[of(channel)],
                                                                    options.bias ? bias[channel] : 0.0f, addend, options.relu,
                                                                    out_qparams<Quantized>())));
    }
    return result;
  }

  template <class Quantized>
  void expect_exact(const PackedConvolution& packed, ParallelFor parallel_for = serial_for) const {
    const GuardedArray<Quantized> out(static_cast<int64_t>(sums.size()));
    convolution(input(), packed, weight_qparams(), epilogue(), out_qparams<Quantized>(), out.data(), parallel_for);
    ASSERT_EQ(out.values(), expected<Quantized>()) << describe();
  }

  std::string describe() const {
    return std::to_string(g.in_channels) + " -> " + std::to_string(g.out_channels) + " channels, " + std::to_string(g.groups) +
           " groups, kernel " + text(g.kernel) + ", stride " + text(g.stride) + ", padding " + text(g.padding) + ", dilation " +
           text(g.dilation) + (g.transposed ? ", transposed, output padding " + text(g.output_padding) : "") + ", input " +
           std::to_string(options.batch) + " of " + text(options.size) + (options.affine ? ", affine" : "");
  }

  Options options;
  ConvolutionGeometry g;
  Spatial out_size;
  int64_t pixels, image;
  Random random;
  std::vector<int8_t> weight;
  GuardedArray<uint8_t> q;
  float scale = 0.037f;
  int32_t zero_point;
  GuardedArray<float> weight_scale;
  GuardedArray<int32_t> weight_zero_point;
  GuardedArray<float> bias;
  GuardedArray<uint8_t> residual;
  std::vector<int64_t> sums;
  float out_scale = 1.0f;
  Residual residual_of_epilogue;
};

inline void expect_exact_everywhere(const Options& options) {
  const Problem problem(options);
  const PackedConvolution packed(problem.weight.data(), options.geometry);
  for_each_isa([&] {
    problem.expect_exact<uint8_t>(packed);
    problem.expect_exact<int8_t>(packed);
  });
}

}  // namespace octet::kernels::test
