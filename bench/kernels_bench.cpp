// What the int8 engine reaches, for each ISA: multiply-adds a second (MAC/s) of products, values a
// second of the rest. One thread; scale, zero point, bias and float output are included.

#include <octet/kernels/elementwise.h>
#include <octet/kernels/gemm.h>
#include <octet/kernels/half.h>
#include <octet/kernels/isa.h>
#include <octet/kernels/quantize.h>

#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

namespace octet::kernels {
namespace {

struct Shape {
  int64_t m, n, k;
};

/// BERT-base layers, a GRU's hidden product, and a weight that no cache holds.
const Shape kShapes[] = {{1, 768, 768},    {16, 768, 768},   {128, 768, 768}, {1, 3072, 768}, {16, 3072, 768},
                         {128, 3072, 768}, {128, 768, 3072}, {1, 768, 256},   {1, 8192, 8192}};

template <class T>
std::vector<T> random_bytes(int64_t count) {
  std::mt19937 random(1);
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(random());
  return values;
}

void count_rate(benchmark::State& state, const char* what, int64_t items) {
  state.counters[what] = benchmark::Counter(static_cast<double>(items), benchmark::Counter::kIsIterationInvariantRate);
}

void bench_gemm(benchmark::State& state, Isa isa, Shape shape) {
  const ScopedIsa forced(isa);
  const auto [m, n, k] = shape;
  const auto q = random_bytes<uint8_t>(m * k);
  const PackedWeight weight(random_bytes<int8_t>(n * k).data(), n, k);
  const std::vector<float> weight_scale(n, 0.01f), bias(n, 1.0f);
  const float scale = 0.05f;
  const int32_t zero_point = 100;
  std::vector<float> out(m * n);
  for (auto _ : state) {
    gemm({.q = {q.data(), k}, .rows = m, .scale = &scale, .zero_point = &zero_point}, weight,
         {.scale = weight_scale.data(), .per_channel = true}, {.bias = bias.data()}, {out.data(), n});
    benchmark::ClobberMemory();
  }
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
  static std::vector<uint8_t> q(kValues);
  static std::vector<float> y(kValues);
  add("min_max", [=](benchmark::State& state) {
    bench_values(state, isa, [](const float* x) { benchmark::DoNotOptimize(min_max(x, kValues)); });
  });
  add("quantize", [=](benchmark::State& state) {
    bench_values(state, isa, [](const float* x) { quantize(x, kValues, {.scale = 0.04f, .zero_point = 128}, q.data()); });
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
