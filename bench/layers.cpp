#include "layers.h"

#include <octet/octet.h>

#include <torch/torch.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bench {
namespace {

namespace nn = octet::nn;
using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

struct Layer {
  std::string path, what, algorithm;
  double macs = 0, weights = 0;
  std::vector<double> ms;  ///< of each forward
};

/// "3x3 s2 64->128, 56x56", "transposed 2x2 s2 512->256, 32x32"
std::string describe(const nn::quantized::ConvolutionOptions& options, at::IntArrayRef input_sizes) {
  const auto& g = options.geometry;
  const auto last = [&](const octet::kernels::Spatial& sizes) {
    return fmt::format("{}", fmt::join(sizes.end() - options.dimensions, sizes.end(), "x"));
  };
  return fmt::format("{}{} s{} {}->{}{}, {}", g.transposed ? "transposed " : "", last(g.kernel), g.stride[2], g.in_channels,
                     g.out_channels, g.groups == 1 ? "" : fmt::format(" g{}", g.groups), fmt::join(input_sizes.slice(2), "x"));
}

/// What a slot computes, as far as it has weights of a convolution or a linear map.
Layer describe(const nn::SlotBase& slot, const at::Tensor& input, const at::Tensor& output) {
  Layer layer{.path = slot.path(), .what = slot.type_name(), .algorithm = "", .ms = {}};
  const auto implementation = slot.implementation();
  const auto per_channel = [](const at::Tensor& tensor) {
    return static_cast<double>(tensor.numel()) / static_cast<double>(std::max<int64_t>(tensor.size(1), 1));
  };
  double uses_of_weight = per_channel(output);
  if (const auto* const has_params = dynamic_cast<const nn::quantized::HasConvPackedParams*>(implementation.get())) {
    const auto& params = has_params->packed_params();
    const auto& g = params.options().geometry;
    layer.what = describe(params.options(), input.sizes());
    layer.algorithm = name(params.algorithm(input.sizes()));
    layer.weights = static_cast<double>(g.out_channels * g.taps() * (g.in_channels / g.groups));
    if (g.transposed) uses_of_weight = per_channel(input);
  } else if (const auto* const linear = slot.module().as<torch::nn::LinearImpl>()) {
    const auto& options = linear->options;
    layer.what =
        fmt::format("linear {}->{}, {}", options.in_features(), options.out_features(), input.numel() / options.in_features());
    layer.weights = static_cast<double>(options.in_features() * options.out_features());
  }
  layer.macs = layer.weights * uses_of_weight;
  return layer;
}

/// Times slots by hooks.
class Stopwatch {
 public:
  explicit Stopwatch(torch::nn::Module& model) {
    for (const auto& module : model.modules()) {
      nn::SlotBase* const slot = nn::as_slot(*module);
      if (!slot) continue;
      handles_.push_back(slot->register_forward_pre_hook(
          [this](torch::nn::Module&, std::vector<at::Tensor>&) { running_.push_back({Clock::now(), {}}); }));
      handles_.push_back(slot->register_forward_hook(
          [this, slot](torch::nn::Module&, const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs) {
            finish(*slot, inputs.front(), outputs.front());
          }));
    }
  }
  ~Stopwatch() {
    for (nn::HookHandle& handle : handles_) handle.remove();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  const std::vector<Layer>& layers() const { return layers_; }

 private:
  struct Running {
    Clock::time_point begin;
    Clock::duration within;  ///< of slots in this one
  };

  void finish(const nn::SlotBase& slot, const at::Tensor& input, const at::Tensor& output) {
    const Clock::time_point now = Clock::now();
    const Running running = running_.back();
    running_.pop_back();
    const auto [found, is_new] = index_.try_emplace(&slot, layers_.size());
    if (is_new) layers_.push_back(describe(slot, input, output));
    layers_[found->second].ms.push_back(milliseconds(now - running.begin - running.within));
    if (!running_.empty()) running_.back().within += Clock::now() - running.begin;
  }

  std::vector<nn::HookHandle> handles_;
  std::vector<Running> running_;
  std::vector<Layer> layers_;
  std::map<const nn::SlotBase*, size_t> index_;
};

void print_row(const std::string& path, const std::string& what, const std::string& algorithm, double ms, double share,
               const std::string& rate, const std::string& limit) {
  fmt::print("  {:<34}{:<34}{:<14}{:>9.3f}{:>8.1f} %{:>9}{:>8}\n", path, what, algorithm, ms, 100 * share, rate, limit);
}

}  // namespace

void print_layers(const Implementation& implementation, double budget_ms, const Limits& limits) {
  implementation.run();
  std::vector<double> totals;
  Stopwatch stopwatch(*implementation.model);
  for (const auto begin = Clock::now(); milliseconds(Clock::now() - begin) < budget_ms || totals.size() < 3;) {
    const auto start = Clock::now();
    implementation.run();
    totals.push_back(milliseconds(Clock::now() - start));
  }
  const double total = median(totals);
  double rest = total;
  fmt::print("  {:<34}{:<34}{:<14}{:>9}{:>10}{:>9}{:>8}\n", "layer", "what", "algorithm", "ms", "share", "GMAC/s", "limit");
  for (const Layer& layer : stopwatch.layers()) {
    const double ms = median(layer.ms), seconds = ms / 1000;
    if (ms < total / 1000) continue;  // a batch norm that was folded, say
    const Work work{layer.macs, layer.weights, layer.weights};
    const bool counts = layer.macs > 0;
    print_row(layer.path, layer.what, layer.algorithm, ms, ms / total,
              counts ? fmt::format("{:.1f}", layer.macs / seconds / 1e9) : "-",
              counts ? fmt::format("{:.0f} %", 100 * limits.seconds(work, implementation.bytes_per_weight) / seconds) : "-");
    rest -= ms;
  }
  print_row("(the rest)", "", "", rest, rest / total, "-", "-");
  print_row("all", "", "", total, 1, "", "");
  std::fflush(stdout);
}

}  // namespace bench
