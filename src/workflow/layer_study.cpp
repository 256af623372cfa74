#include <octet/tensor/error.h>

#include <workflow/layer_study.h>
#include <workflow/site_rows.h>

#include <ATen/ops/tensor.h>
#include <torch/utils.h>

#include <algorithm>

namespace octet {
namespace {

/// All slots of a model, those inside of implementations (of observed LSTMs, say) too.
void collect_slots(torch::nn::Module& module, std::vector<nn::SlotBase*>& slots) {
  if (nn::SlotBase* const slot = nn::as_slot(module)) {
    slots.push_back(slot);
    if (const auto implementation = slot->implementation()) collect_slots(*implementation, slots);
  }
  for (const auto& child : module.children()) collect_slots(*child, slots);
}

/// Why a layer's weight will not be quantized to int8; empty if it will.
std::string why_not_studied(const nn::ModuleSite& site) {
  const auto qconfig = site.slot() ? site.slot()->qconfig() : std::nullopt;
  if (!qconfig) return "prepare() gave it no qconfig";
  if (qconfig->weight.dtype() != qint8) return "its weight is not quantized to int8";
  return "";
}

}  // namespace

at::Tensor dequantize(const at::Tensor& integers, const nn::QuantizedWeight& weight) {
  const auto along_channels = [](const auto& numbers) { return at::tensor(numbers, at::kFloat).reshape({-1, 1, 1}); };
  const at::Tensor centered = weight.zero_point.empty() ? integers : integers - along_channels(weight.zero_point);
  return centered * along_channels(weight.scale);
}

at::Tensor StudiedLayer::values_of(const at::Tensor& of_weight) const {
  return module.grouped(of_weight).flatten(0, 1).to(at::kCPU, at::kFloat);
}

at::Tensor StudiedLayer::as_weight(const at::Tensor& values) const {
  return module.ungrouped(values.reshape(module.grouped(weight).sizes()));
}

nn::QuantizedWeight StudiedLayer::quantize(const at::Tensor& values) const {
  return nn::quantize_weight(values, qconfig, module.path() + ": weight");
}

void StudiedLayer::replace_parameters(const at::Tensor& new_weight, const at::Tensor& new_bias) {
  module.compute_with(weight, bias);
  module.replace_parameters(new_weight, new_bias);
  weight = module.weight();
  bias = module.bias();
}

LayerStudy::LayerStudy(std::string_view workflow, torch::nn::Module& model, const std::function<void()>& run_fn)
    : run_fn_(run_fn) {
  const std::vector<nn::ModuleSite> sites = nn::module_sites(model);
  check_prepared(sites, workflow);
  check_eval_mode(sites, workflow);
  for (const nn::ModuleSite& site : sites) {
    const auto module = WeightedModule::of(site);
    if (!module || site.same_as()) continue;
    if (std::string reason = why_not_studied(site); !reason.empty()) {
      others_.add({site.path(), site.type_name(), ModuleStatus::kept, std::move(reason)});
      continue;
    }
    const auto observer = site.slot()->activation_post_process();
    check(!observer || observer->is_calibrated(), workflow, ": ", site.path(), ": its observer ",
          observer ? observer->name() : "",
          " has seen no tensor; run the prepared model on calibration data that reaches this module first");
    nn::check_float_weight(module->weight(), module->bias(), module->out_channels(), site.path() + ": weight");
    layers_.push_back({*module, *site.slot()->qconfig(), module->weight(), module->bias()});
  }

  std::vector<nn::SlotBase*> slots;
  collect_slots(model, slots);
  for (nn::SlotBase* const slot : slots) {
    if (auto observer = slot->activation_post_process()) observers_.emplace_back(slot, std::move(observer));
  }
  for (const auto& [slot, observer] : observers_) slot->set_activation_post_process(nullptr);

  std::vector<size_t> order;
  try {
    run([&](size_t layer, const at::Tensor&) {
      if (std::find(order.begin(), order.end(), layer) == order.end()) order.push_back(layer);
    });
    check(!order.empty(), workflow,
          ": run_fn gave nothing to any Linear or convolution that is to be quantized; it must run the ",
          "model on calibration data");
  } catch (...) {
    restore();
    throw;
  }
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (std::find(order.begin(), order.end(), i) != order.end()) continue;
    others_.add({layers_[i].module.path(), layers_[i].module.type_name(), ModuleStatus::kept, "run_fn did not reach it"});
  }
  std::vector<StudiedLayer> in_order;
  for (const size_t layer : order) in_order.push_back(std::move(layers_[layer]));
  layers_ = std::move(in_order);
}

LayerStudy::~LayerStudy() { restore(); }

void LayerStudy::restore() {
  for (StudiedLayer& layer : layers_) layer.module.compute_with(layer.weight, layer.bias);
  for (auto& [slot, observer] : observers_) slot->set_activation_post_process(std::move(observer));
  observers_.clear();
}

void LayerStudy::run(const std::function<void(size_t layer, const at::Tensor& input)>& see) const {
  struct Hooks : std::vector<nn::HookHandle> {
    ~Hooks() {
      for (nn::HookHandle& hook : *this) hook.remove();
    }
  } hooks;
  for (size_t i = 0; i < layers_.size(); ++i) {
    hooks.push_back(layers_[i].module.slot()->register_forward_pre_hook([&, i](auto&, const std::vector<at::Tensor>& inputs) {
      if (inputs.at(0).numel() > 0) see(i, inputs.at(0));
    }));
  }
  const torch::NoGradGuard no_grad;
  run_fn_();
}

}  // namespace octet
