#include "comparison.h"

#include <octet/nn/intrinsic.h>
#include <octet/nn/module_site.h>
#include <octet/tensor/quantize.h>

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace demo {
namespace {

using octet::nn::HookHandle;

/// Keeps what the slots of a model return while it lives.
class OutputRecorder {
 public:
  explicit OutputRecorder(torch::nn::Module& model) {
    for (const auto& site : octet::nn::module_sites(model)) {
      if (!site.slot() || site.same_as()) continue;
      const auto implementation = site.slot()->implementation();
      if (dynamic_cast<const octet::nn::intrinsic::IdentityImpl*>(implementation.get())) continue;
      paths_.emplace_back(site.path(), site.type_name());
      handles_.push_back(site.slot()->register_forward_hook(
          [this, path = site.path()](torch::nn::Module&, const std::vector<at::Tensor>&, std::vector<at::Tensor>& outputs) {
            for (const at::Tensor& output : outputs) outputs_[path].push_back(output);
          }));
    }
  }
  ~OutputRecorder() {
    for (HookHandle& handle : handles_) handle.remove();
  }
  OutputRecorder(const OutputRecorder&) = delete;
  OutputRecorder& operator=(const OutputRecorder&) = delete;

  /// Path and class of each slot.
  const std::vector<std::pair<std::string, std::string>>& slots() const { return paths_; }
  const std::vector<at::Tensor>& outputs(const std::string& path) { return outputs_[path]; }

 private:
  std::vector<std::pair<std::string, std::string>> paths_;
  std::map<std::string, std::vector<at::Tensor>> outputs_;
  std::vector<HookHandle> handles_;
};

}  // namespace

void Sqnr::add(const torch::Tensor& reference, const torch::Tensor& other) {
  const torch::Tensor x = octet::dequantize(reference).to(torch::kFloat64), y = octet::dequantize(other).to(torch::kFloat64);
  signal_ += x.square().sum().item<double>();
  noise_ += (x - y).square().sum().item<double>();
}

double Sqnr::db() const { return 10 * std::log10(signal_ / noise_); }

void Agreement::add(const torch::Tensor& reference, const torch::Tensor& other) {
  const torch::Tensor best = reference.argmax(1, /*keepdim=*/true);
  ++images_;
  top1_ += best.equal(other.argmax(1, /*keepdim=*/true));
  top5_ += std::get<1>(other.topk(std::min<int64_t>(5, other.size(1)), 1)).eq(best).any().item<bool>();
  sqnr_.add(reference, other);
}

std::vector<LayerSqnr> layer_sqnr(torch::nn::Module& reference, torch::nn::Module& other, const std::function<void()>& run) {
  OutputRecorder references(reference), others(other);
  run();
  std::vector<LayerSqnr> layers;
  for (const auto& [path, type] : references.slots()) {
    const auto &expected = references.outputs(path), &found = others.outputs(path);
    Sqnr sqnr;
    for (size_t i = 0; i < std::min(expected.size(), found.size()); ++i) sqnr.add(expected[i], found[i]);
    if (!expected.empty()) layers.push_back({path, type, sqnr.db()});
  }
  return layers;
}

}  // namespace demo
