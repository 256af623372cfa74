#pragma once

#include <octet/kernels/convolution.h>
#include <octet/kernels/half.h>
#include <octet/kernels/quantize.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

// The arithmetic of docs/arithmetic.md in plain loops: the spec. The kernels do not call it; the tests compare every
// ISA with it at zero tolerance.

namespace octet::kernels::reference {

/// The exact sum of a row of activations and an output channel.
inline int64_t linear_sum(const uint8_t* q, int64_t zero_point, const int8_t* weight, int64_t weight_zero_point, int64_t k) {
  int64_t sum = 0;
  for (int64_t i = 0; i < k; ++i) sum += (q[i] - zero_point) * (weight[i] - weight_zero_point);
  return sum;
}

inline float relu(float x) { return x < 0.0f ? 0.0f : x; }

/// The real number that a sum stands for. Sums fit int32, so float(sum) rounds once, from the exact value.
inline float epilogue(int64_t sum, float scale, float weight_scale, float bias, bool with_relu,
                      float upper_bound = std::numeric_limits<float>::infinity()) {
  const float y = std::fma(static_cast<float>(sum), scale * weight_scale, bias);
  const float bounded = y > upper_bound ? upper_bound : y;
  return with_relu ? relu(bounded) : bounded;
}

/// Rounded and clamped in double, where nothing overflows on the way.
inline int32_t quantize_scaled(float scaled, const AffineQParams& qparams) {
  if (std::isnan(scaled)) return qparams.quant_min;
  const double rounded = std::nearbyint(double{scaled}) + qparams.zero_point;
  return static_cast<int32_t>(std::clamp<double>(rounded, qparams.quant_min, qparams.quant_max));
}

inline int32_t quantize(float x, const AffineQParams& qparams) { return quantize_scaled(x * (1.0f / qparams.scale), qparams); }

/// One number of a residual connection.
struct ResidualValue {
  int32_t q;
  float scale;
  int32_t zero_point;
};

/// The integer that a sum becomes in requantized output.
inline int32_t requantize(int64_t sum, float scale, float weight_scale, float bias, const std::optional<ResidualValue>& residual,
                          bool with_relu, AffineQParams out, float upper_bound = std::numeric_limits<float>::infinity()) {
  const float inverse_scale = 1.0f / out.scale;
  float y = std::fma(static_cast<float>(sum), scale * weight_scale * inverse_scale, bias * inverse_scale);
  if (residual) y = std::fma(static_cast<float>(residual->q - residual->zero_point), residual->scale * inverse_scale, y);
  out.quant_max = std::min(out.quant_max, quantize(upper_bound, out));
  if (with_relu) out.quant_min = std::clamp(out.zero_point, out.quant_min, out.quant_max);
  return quantize_scaled(y, out);
}

inline float dequantize(int32_t q, const AffineQParams& qparams) {
  return static_cast<float>(q - qparams.zero_point) * qparams.scale;
}

/// The element of the input, along one dimension, that an output meets with an element of the kernel; none in the padding.
inline std::optional<int64_t> input_of_tap(const ConvolutionGeometry& g, size_t dimension, int64_t input_size, int64_t output,
                                           int64_t kernel) {
  const int64_t stride = g.stride[dimension], shift = kernel * g.dilation[dimension] - g.padding[dimension];
  if (g.transposed && (output - shift) % stride != 0) return std::nullopt;  // output = input * stride + shift
  const int64_t input = g.transposed ? (output - shift) / stride : output * stride + shift;
  return 0 <= input && input < input_size ? std::optional(input) : std::nullopt;
}

/// The exact sum of an output channel of an output pixel. @param q  one image
inline int64_t convolution_sum(const ConvolutionGeometry& g, const uint8_t* q, const Spatial& size, int64_t zero_point,
                               const int8_t* weight, int64_t weight_zero_point, const Spatial& pixel, int64_t channel) {
  const int64_t channels = g.in_channels / g.groups, first_channel = channel / (g.out_channels / g.groups) * channels;
  int64_t sum = 0;
  for (int64_t tap = 0; tap < g.taps(); ++tap) {
    const auto d = input_of_tap(g, 0, size[0], pixel[0], tap / g.kernel[2] / g.kernel[1]);
    const auto h = input_of_tap(g, 1, size[1], pixel[1], tap / g.kernel[2] % g.kernel[1]);
    const auto w = input_of_tap(g, 2, size[2], pixel[2], tap % g.kernel[2]);
    if (!d || !h || !w) continue;
    sum += linear_sum(q + ((*d * size[1] + *h) * size[2] + *w) * g.in_channels + first_channel, zero_point,
                      weight + (channel * g.taps() + tap) * channels, weight_zero_point, channels);
  }
  return sum;
}

/// The value of a half that is not NaN, from the definition of the format.
inline double value_of(half_bits half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const double sign = half & 0x8000 ? -1.0 : 1.0;
  if (exponent == 31) return sign * std::numeric_limits<double>::infinity();
  return sign * (exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24));
}

/// The scale of a row of activations in 16 bits.
inline float int16_scale(const float* x, int64_t k) {
  float largest = 0.0f;
  for (int64_t i = 0; i < k; ++i) largest = std::max(largest, std::fabs(x[i]));
  return std::max(largest / 32767.0f, 0x1p-126f);
}

/// An output of a linear layer with 4-bit weights. @param scale, zero_point  of each group of the output's weights
inline float int4_linear(const float* x, int64_t k, const int8_t* weight, int64_t group_size, const float* scale,
                         const int8_t* zero_point, float bias, bool with_relu) {
  const float x_scale = int16_scale(x, k);
  float total = 0.0f;
  for (int64_t begin = 0; begin < k; begin += group_size) {
    const int64_t group = begin / group_size;
    int64_t sum = 0;
    for (int64_t i = begin; i < std::min(begin + group_size, k); ++i) {
      sum += static_cast<int64_t>(std::nearbyint(x[i] * (1.0f / x_scale))) * (weight[i] - zero_point[group]);
    }
    total = std::fma(static_cast<float>(sum), scale[group], total);
  }
  const float y = std::fma(total, x_scale, bias);
  return with_relu ? relu(y) : y;
}

/// Sixteen partial sums, which take every sixteenth i, then added in halves. @param add  (sum, i): the sum with i's part
template <class Add>
float sum_in_16_parts(int64_t n, const Add& add) {
  std::array<float, 16> part{};
  for (int64_t i = 0; i < n; ++i) part[i % 16] = add(part[i % 16], i);
  for (const int width : {8, 4, 2, 1}) {
    for (int l = 0; l < width; ++l) part[l] = part[l] + part[l + width];
  }
  return part[0];
}

/// Over inputs padded with zeros.
inline float half_linear_sum(const float* x, const half_bits* weight, int64_t k) {
  return sum_in_16_parts((k + 15) / 16 * 16, [&](float sum, int64_t i) {
    const float a = i < k ? x[i] : 0.0f;
    const auto b = static_cast<float>(i < k ? value_of(weight[i]) : 0.0);
    return std::fma(a, b, sum);
  });
}

/// A row of layer_norm, in place. @param z  x + residual
inline void layer_norm_row(float* z, int64_t n, float eps, const float* weight, const float* bias) {
  const float mean = sum_in_16_parts(n, [&](float sum, int64_t i) { return sum + z[i]; }) / static_cast<float>(n);
  const float squares = sum_in_16_parts(n, [&](float sum, int64_t i) { return std::fma(z[i] - mean, z[i] - mean, sum); });
  const float multiplier = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
  for (int64_t i = 0; i < n; ++i) z[i] = std::fma((z[i] - mean) * multiplier, weight[i], bias[i]);
}

/// One query of attention. @param k [keys][dim], v [keys][value_dim], bias [keys]; exp  that of the kernels
template <class Exp>
void attention_row(const float* q, const float* k, const float* v, const float* bias, int64_t keys, int64_t dim,
                   int64_t value_dim, float scale, const Exp& exp, float* out) {
  std::vector<float> weights(keys);
  for (int64_t key = 0; key < keys; ++key) {
    float score = 0.0f;
    for (int64_t d = 0; d < dim; ++d) score = std::fma(k[key * dim + d], q[d] * scale, score);
    weights[key] = score + bias[key];
  }
  const float highest = *std::max_element(weights.begin(), weights.end());
  float sum = 0.0f;
  for (float& weight : weights) {
    weight = exp(std::max(weight - highest, -105.0f));
    sum += weight;
  }
  for (int64_t d = 0; d < value_dim; ++d) {
    float total = 0.0f;
    for (int64_t key = 0; key < keys; ++key) total = std::fma(weights[key], v[key * value_dim + d], total);
    out[d] = total / sum;
  }
}

}  // namespace octet::kernels::reference
