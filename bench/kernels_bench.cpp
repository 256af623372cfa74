// What the int8 engine reaches, for each ISA: multiply-adds a second (MAC/s) of products, values a
// second of the rest. One thread; what surrounds the products (zero points, scales, bias, rounding) is included.

#include <octet/kernels/binary.h>
#include <octet/kernels/channels_last.h>
#include <octet/kernels/convolution.h>
#include <octet/kernels/convolution_algorithm.h>
#include <octet/kernels/elementwise.h>
#include <octet/kernels/fake_quantize.h>
#include <octet/kernels/gemm.h>
#include <octet/kernels/half.h>
#include <octet/kernels/int4_gemm.h>
#include <octet/kernels/isa.h>
#include <octet/kernels/quantize.h>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace octet::kernels {
namespace {

struct Shape {
  int64_t m, n, k;
};

/// BERT-base layers, a GRU's hidden product, and a weight that no cache holds.
const Shape kShapes[] = {{1, 768, 768},    {16, 768, 768},   {128, 768, 768}, {1, 3072, 768},  {16, 3072, 768},
                         {128, 3072, 768}, {128, 768, 3072}, {1, 768, 256},   {1, 4096, 4096}, {1, 8192, 8192}};

template <class T>
std::vector<T> random_bytes(int64_t count) {
  std::mt19937 random(1);
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(random());
  return values;
}

/// Activations of a normal distribution; with a zero point of 0 they are those behind a relu.
std::vector<uint8_t> normal_activations(int64_t count, int32_t zero_point, float deviation) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(static_cast<float>(zero_point), deviation);
  std::vector<uint8_t> values(count);
  for (uint8_t& value : values) value = static_cast<uint8_t>(std::clamp(std::nearbyint(normal(random)), 0.0f, 255.0f));
  return values;
}

/// Weights of a normal distribution, of each of n channels k that are quantized with a scale of their own: the largest is 127.
std::vector<int8_t> normal_weights(int64_t n, int64_t k) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<int8_t> values;
  std::vector<float> channel(k);
  for (int64_t i = 0; i < n; ++i) {
    float largest = 0.0f;
    for (float& value : channel) largest = std::max(largest, std::abs(value = normal(random)));
    for (const float value : channel) values.push_back(static_cast<int8_t>(std::nearbyint(value / largest * 127.0f)));
  }
  return values;
}

void count_rate(benchmark::State& state, const char* what, int64_t items) {
  state.counters[what] = benchmark::Counter(static_cast<double>(items), benchmark::Counter::kIsIterationInvariantRate);
}

/// The first run is not counted, in which weights may get another form.
template <class Run>
void measure(benchmark::State& state, const Run& run) {
  run();
  for (auto _ : state) {
    run();
    benchmark::ClobberMemory();
  }
}

void bench_gemm(benchmark::State& state, Isa isa, Shape shape) {
  const ScopedIsa forced(isa);
  const auto [m, n, k] = shape;
  const auto q = normal_activations(m * k, 128, 30.0f);
  const PackedWeight weight(normal_weights(n, k).data(), n, k);
  const std::vector<float> weight_scale(n, 0.01f), bias(n, 1.0f);
  const float scale = 0.05f;
  const int32_t zero_point = 100;
  std::vector<float> out(m * n);
  measure(state, [&] {
    gemm({.q = {q.data(), k}, .rows = m, .scale = &scale, .zero_point = &zero_point}, weight,
         {.scale = weight_scale.data(), .per_channel = true}, {.bias = bias.data()}, {out.data(), n});
  });
  count_rate(state, "MAC/s", m * n * k);
}

void bench_half_gemm(benchmark::State& state, Isa isa, Shape shape) {
  const ScopedIsa forced(isa);
  const auto [m, n, k] = shape;
  const std::vector<float> x(m * k, 0.5f);
  const std::vector<half_bits> weight(n * k, float_to_half(0.25f));
  std::vector<float> out(m * n);
  for (auto _ : state) {
    half_gemm({x.data(), k}, m, {weight.data(), k}, n, k, {}, {out.data(), n});
    benchmark::ClobberMemory();
  }
  count_rate(state, "MAC/s", m * n * k);
}

/// The integers of the weight are read with their scales: 4.25 bits each.
void bench_int4_gemm(benchmark::State& state, Isa isa, Shape shape) {
  const ScopedIsa forced(isa);
  const auto [m, n, k] = shape;
  auto integers = random_bytes<int8_t>(n * k);
  for (int8_t& w : integers) w = static_cast<int8_t>(w >> 4);
  constexpr int64_t kGroupSize = 128;
  const PackedInt4Weight weight(integers.data(), n, k, kGroupSize, std::vector<float>(n * k, 0.01f).data());
  const std::vector<float> x(m * k, 0.5f);
  std::vector<MinMax> ranges(m);
  std::vector<float> out(m * n);
  for (auto _ : state) {
    min_max_rows({x.data(), k}, m, k, ranges.data());
    int4_gemm({x.data(), k}, ranges.data(), m, weight, {}, {out.data(), n});
    benchmark::ClobberMemory();
  }
  count_rate(state, "MAC/s", m * n * k);
  count_rate(state, "B/s", weight.bytes());
}

/// A layer of a network for images or videos: square or cubic kernel, padding by half of it.
struct ConvolutionLayer {
  const char* name;
  int64_t in_channels, out_channels, groups, kernel, stride, size;
  int64_t frames = 0;  ///< of a video

  ConvolutionGeometry geometry() const {
    const int64_t pad = kernel / 2;
    const bool video = frames > 0;
    return {.in_channels = in_channels,
            .out_channels = out_channels,
            .groups = groups,
            .kernel = {video ? kernel : 1, kernel, kernel},
            .stride = {video ? stride : 1, stride, stride},
            .padding = {video ? pad : 0, pad, pad}};
  }
};

/// The kinds of layers of ResNet-50, MobileNetV2, EfficientNet-Lite0 and R3D-18, depthwise ones of few channels (MobileNetV3,
/// ShuffleNetV2) and with several outputs for each, and those of few channels a group (ResNeXt, RegNet).
const ConvolutionLayer kConvolutionLayers[] = {
    {"first_7x7", 3, 64, 1, 7, 2, 224},
    {"first_3x3", 3, 32, 1, 3, 2, 224},
    {"3x3", 64, 64, 1, 3, 1, 56},
    {"3x3", 128, 128, 1, 3, 1, 28},
    {"3x3", 64, 128, 1, 3, 2, 56},
    {"3x3", 128, 128, 1, 3, 2, 56},
    {"3x3", 256, 512, 1, 3, 2, 14},
    {"3x3", 256, 256, 1, 3, 1, 14},
    {"3x3", 512, 512, 1, 3, 1, 7},
    {"1x1", 64, 256, 1, 1, 1, 56},
    {"1x1", 256, 64, 1, 1, 1, 56},
    {"1x1", 24, 144, 1, 1, 1, 56},
    {"1x1", 16, 96, 1, 1, 1, 112},
    {"1x1", 32, 16, 1, 1, 1, 112},
    {"1x1", 96, 24, 1, 1, 1, 56},
    {"1x1", 144, 24, 1, 1, 1, 56},
    {"1x1", 144, 32, 1, 1, 1, 28},
    {"1x1", 32, 192, 1, 1, 1, 28},
    {"1x1", 192, 32, 1, 1, 1, 28},
    {"1x1", 192, 64, 1, 1, 1, 14},
    {"1x1", 64, 384, 1, 1, 1, 14},
    {"1x1", 384, 64, 1, 1, 1, 14},
    {"1x1", 384, 96, 1, 1, 1, 14},
    {"1x1", 96, 576, 1, 1, 1, 14},
    {"1x1", 576, 96, 1, 1, 1, 14},
    {"1x1", 576, 160, 1, 1, 1, 7},
    {"1x1", 160, 960, 1, 1, 1, 7},
    {"1x1", 960, 320, 1, 1, 1, 7},
    {"1x1", 320, 1280, 1, 1, 1, 7},
    {"1x1", 128, 512, 1, 1, 1, 28},
    {"1x1", 512, 128, 1, 1, 1, 28},
    {"1x1", 256, 1024, 1, 1, 1, 14},
    {"1x1", 1024, 256, 1, 1, 1, 14},
    {"1x1", 512, 2048, 1, 1, 1, 7},
    {"1x1", 1024, 2048, 1, 1, 2, 14},
    {"1x1", 960, 160, 1, 1, 1, 7},
    {"depthwise_3x3", 32, 32, 32, 3, 1, 112},
    {"depthwise_3x3", 96, 96, 96, 3, 1, 112},
    {"depthwise_3x3", 144, 144, 144, 3, 1, 56},
    {"depthwise_3x3", 192, 192, 192, 3, 1, 28},
    {"depthwise_3x3", 384, 384, 384, 3, 1, 14},
    {"depthwise_3x3", 576, 576, 576, 3, 1, 14},
    {"depthwise_3x3", 960, 960, 960, 3, 1, 7},
    {"depthwise_3x3", 96, 96, 96, 3, 2, 112},
    {"depthwise_3x3", 144, 144, 144, 3, 2, 56},
    {"depthwise_3x3", 192, 192, 192, 3, 2, 28},
    {"depthwise_3x3", 576, 576, 576, 3, 2, 14},
    {"depthwise_5x5", 144, 144, 144, 5, 2, 56},
    {"depthwise_5x5", 240, 240, 240, 5, 1, 28},
    {"depthwise_5x5", 480, 480, 480, 5, 1, 14},
    {"depthwise_5x5", 672, 672, 672, 5, 1, 14},
    {"depthwise_5x5", 1152, 1152, 1152, 5, 1, 7},
    {"depthwise_3x3", 8, 8, 8, 3, 1, 112},
    {"depthwise_3x3", 16, 16, 16, 3, 1, 112},
    {"depthwise_3x3", 24, 24, 24, 3, 1, 56},
    {"depthwise_3x3", 16, 16, 16, 3, 2, 112},
    {"depthwise_3x3", 24, 24, 24, 3, 2, 56},
    {"depthwise_5x5", 16, 16, 16, 5, 1, 56},
    {"multiplied_3x3", 32, 64, 32, 3, 1, 56},
    {"multiplied_3x3", 32, 96, 32, 3, 1, 56},
    {"multiplied_3x3", 64, 256, 64, 3, 1, 28},
    {"multiplied_3x3", 1, 8, 1, 3, 1, 224},
    {"multiplied_3x3", 1, 32, 1, 3, 1, 28},
    {"multiplied_5x5", 1, 16, 1, 5, 1, 28},
    {"multiplied_3x3", 64, 128, 64, 3, 2, 56},
    {"multiplied_5x5", 64, 128, 64, 5, 2, 56},
    {"grouped_1x1", 256, 256, 32, 1, 1, 28},
    {"grouped_3x3", 128, 128, 32, 3, 1, 56},
    {"grouped_3x3", 256, 256, 32, 3, 1, 28},
    {"grouped_3x3", 512, 512, 32, 3, 1, 14},
    {"grouped_3x3", 256, 256, 32, 3, 2, 56},
    {"grouped_3x3", 64, 64, 8, 3, 1, 56},
    {"grouped_3x3", 152, 152, 19, 3, 1, 28},
    {"grouped_3x3", 192, 192, 8, 3, 1, 28},
    {"3x3x3", 64, 64, 1, 3, 1, 56, 16},
    {"3x3x3", 64, 128, 1, 3, 2, 56, 16},
    {"3x3x3", 128, 128, 1, 3, 1, 28, 8},
    {"3x3x3", 256, 256, 1, 3, 1, 14, 4},
    {"3x3x3", 512, 512, 1, 3, 1, 7, 2},
};

void bench_convolution(benchmark::State& state, Isa isa, const ConvolutionLayer& layer) {
  const ScopedIsa forced(isa);
  const ConvolutionGeometry geometry = layer.geometry();
  const Spatial size{std::max<int64_t>(layer.frames, 1), layer.size, layer.size};
  const Spatial out_size = geometry.output_size(size);
  const int64_t depth = layer.in_channels / layer.groups * geometry.taps();
  const int64_t outputs = out_size[0] * out_size[1] * out_size[2] * layer.out_channels;
  const auto q = normal_activations(size[0] * size[1] * size[2] * layer.in_channels, 0, 50.0f);
  const PackedConvolution weight(normal_weights(layer.out_channels, depth).data(), geometry);
  const std::vector<float> weight_scale(layer.out_channels, 0.01f), bias(layer.out_channels, 1.0f);
  std::vector<uint8_t> out(outputs);
  measure(state, [&] {
    convolution({.q = q.data(), .batch = 1, .size = size, .scale = 0.05f, .zero_point = 0}, weight,
                {.scale = weight_scale.data(), .per_channel = true}, {.bias = bias.data(), .relu = true},
                {.scale = 0.5f, .zero_point = 0}, out.data());
  });
  count_rate(state, "MAC/s", outputs * depth);
}

constexpr int64_t kValues = 128 * 768;

/// Anything that maps kValues floats.
template <class Kernel>
void bench_values(benchmark::State& state, Isa isa, const Kernel& kernel) {
  const ScopedIsa forced(isa);
  std::vector<float> x(kValues);
  for (int64_t i = 0; i < kValues; ++i) x[i] = static_cast<float>(i % 1000) * 0.01f - 5.0f;
  for (auto _ : state) {
    kernel(x.data());
    benchmark::ClobberMemory();
  }
  count_rate(state, "values/s", kValues);
}

constexpr int64_t kActivations = 1 << 20;  // a training batch's: more than the inner caches hold

/// Bytes a second that are read and written, beside the mask, which is a thirty-second part of the floats.
void bench_fake_quantize(benchmark::State& state, Isa isa, bool backward) {
  const ScopedIsa forced(isa);
  const ChannelLayout layout{.inner = kActivations};
  const float scale = 0.04f;
  const int32_t zero_point = 128;
  std::vector<float> x(kActivations), out(kActivations);
  for (int64_t i = 0; i < kActivations; ++i) x[i] = static_cast<float>(i % 1500) * 0.01f - 7.5f;
  std::vector<uint8_t> mask(layout.mask_bytes());
  fake_quantize(x.data(), layout, {&scale, &zero_point}, out.data(), mask.data());
  for (auto _ : state) {
    if (backward) {
      fake_quantize_backward(x.data(), layout, mask.data(), out.data());
    } else {
      fake_quantize(x.data(), layout, {&scale, &zero_point}, out.data(), mask.data());
    }
    benchmark::ClobberMemory();
  }
  count_rate(state, "B/s", 2 * kActivations * static_cast<int64_t>(sizeof(float)));
}

std::string name_of(std::string what, const Shape& shape) {
  for (const int64_t size : {shape.m, shape.n, shape.k}) what.append("/").append(std::to_string(size));
  return what;
}

void register_benchmarks(Isa isa) {
  const auto add = [&](std::string what, const auto& run) {
    benchmark::RegisterBenchmark(what.append("/").append(name(isa)).c_str(), run);
  };
  for (const Shape& shape : kShapes) {
    add(name_of("gemm", shape), [=](benchmark::State& state) { bench_gemm(state, isa, shape); });
  }
  for (const Shape& shape : {Shape{1, 768, 768}, Shape{16, 768, 768}}) {
    add(name_of("half_gemm", shape), [=](benchmark::State& state) { bench_half_gemm(state, isa, shape); });
  }
  for (const Shape& shape : {Shape{1, 768, 768}, Shape{1, 4096, 4096}, Shape{1, 8192, 8192}, Shape{128, 768, 768}}) {
    add(name_of("int4_gemm", shape), [=](benchmark::State& state) { bench_int4_gemm(state, isa, shape); });
  }
  for (const ConvolutionLayer& layer : kConvolutionLayers) {
    std::string what = std::string("convolution_") + layer.name;
    for (const int64_t part : {layer.in_channels, layer.out_channels, layer.size}) what.append("/").append(std::to_string(part));
    what.append("/s").append(std::to_string(layer.stride));
    add(what, [=](benchmark::State& state) { bench_convolution(state, isa, layer); });
    if (layer.kernel != 3 || layer.stride != 1 || layer.groups == layer.in_channels) continue;
    for (const ConvolutionAlgorithm algorithm :
         {ConvolutionAlgorithm::gemm, ConvolutionAlgorithm::winograd_2x2, ConvolutionAlgorithm::winograd_4x4}) {
      add(what + "/" + std::string(name(algorithm)), [=](benchmark::State& state) {
        const ScopedConvolutionAlgorithm forced(algorithm);
        bench_convolution(state, isa, layer);
      });
    }
  }
  static std::vector<uint8_t> q(kValues), sums(kValues);
  static std::vector<float> y(kValues);
  add("min_max", [=](benchmark::State& state) {
    bench_values(state, isa, [](const float* x) { benchmark::DoNotOptimize(min_max(x, kValues)); });
  });
  add("quantize", [=](benchmark::State& state) {
    bench_values(state, isa, [](const float* x) { quantize(x, kValues, {.scale = 0.04f, .zero_point = 128}, q.data()); });
  });
  add("channels_last", [=](benchmark::State& state) {
    bench_values(state, isa, [](const float*) { channels_last(q.data(), 1, 3, kValues / 3, sums.data()); });
  });
  add("fake_quantize", [=](benchmark::State& state) { bench_fake_quantize(state, isa, /*backward=*/false); });
  add("fake_quantize_backward", [=](benchmark::State& state) { bench_fake_quantize(state, isa, /*backward=*/true); });
  add("add", [=](benchmark::State& state) {
    bench_values(state, isa, [](const float*) {
      const Matrix<const uint8_t> row{q.data(), kValues};
      kernels::add({row, 0.04f, 128}, {row, 0.03f, 100}, 1, kValues, {.scale = 0.07f, .zero_point = 120}, {sums.data(), kValues});
    });
  });
  add("sigmoid",
      [=](benchmark::State& state) { bench_values(state, isa, [](const float* x) { sigmoid(x, kValues, y.data()); }); });
  add("tanh", [=](benchmark::State& state) { bench_values(state, isa, [](const float* x) { tanh(x, kValues, y.data()); }); });
}

}  // namespace
}  // namespace octet::kernels

int main(int argc, char** argv) {
  for (const octet::kernels::Isa isa : octet::kernels::available_isas()) octet::kernels::register_benchmarks(isa);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
