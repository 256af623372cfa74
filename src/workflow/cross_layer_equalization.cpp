#include <octet/nn/module_site.h>
#include <octet/tensor/error.h>
#include <octet/workflow/cross_layer_equalization.h>

#include <workflow/weighted_module.h>

#include <ATen/ops/where.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace octet {
namespace {

constexpr int kMaxRounds = 1000;

/// A layer whose weight is scaled, in double.
struct Layer {
  WeightedModule module;
  at::Tensor weight;  // [groups, out / groups, in / groups, kernel]
  at::Tensor bias;    // perhaps undefined

  explicit Layer(const WeightedModule& of)
      : module(of),
        weight(of.grouped(of.weight()).to(at::kDouble)),
        bias(of.bias().defined() ? of.bias().detach().to(at::kDouble) : at::Tensor()) {}

  at::Tensor output_ranges() const { return ranges({2, 3}); }
  at::Tensor input_ranges() const { return ranges({1, 3}); }

  void divide_outputs(const at::Tensor& scale) {
    weight = weight / scale.reshape({weight.size(0), -1, 1, 1});
    if (bias.defined()) bias = bias / scale;
  }
  void multiply_inputs(const at::Tensor& scale) { weight = weight * scale.reshape({weight.size(0), 1, -1, 1}); }

 private:
  at::Tensor ranges(at::IntArrayRef dims) const {
    return (weight.amax(dims).clamp_min(0) - weight.amin(dims).clamp_max(0)).flatten();
  }
};

/// Two layers that follow each other.
struct Pair {
  Layer* first;
  Layer* second;
};

/// Functions f with f(s * x) = s * f(x) for each positive s, channel by channel.
bool passes_scales(const std::string& type) {
  static const std::set<std::string> types{"Linear",
                                           "LinearReLU",
                                           "LinearLeakyReLU",
                                           "Conv1d",
                                           "Conv2d",
                                           "Conv3d",
                                           "ConvReLU1d",
                                           "ConvReLU2d",
                                           "ConvReLU3d",
                                           "ConvTranspose1d",
                                           "ConvTranspose2d",
                                           "ConvTranspose3d",
                                           "ReLU",
                                           "LeakyReLU",
                                           "PReLU",
                                           "Identity",
                                           "Dropout",
                                           "Dropout2d",
                                           "Dropout3d",
                                           "MaxPool1d",
                                           "MaxPool2d",
                                           "MaxPool3d",
                                           "AvgPool1d",
                                           "AvgPool2d",
                                           "AvgPool3d",
                                           "AdaptiveMaxPool1d",
                                           "AdaptiveMaxPool2d",
                                           "AdaptiveMaxPool3d",
                                           "AdaptiveAvgPool1d",
                                           "AdaptiveAvgPool2d",
                                           "AdaptiveAvgPool3d"};
  return types.contains(type);
}

std::string how_to_pass_scales(const std::string& type) {
  if (type.starts_with("BatchNorm")) return "fold it into the module before it with fuse_modules() first";
  return "replace it by a ReLU and train on, or end the list before it";
}

/// The layers of all lists, and which of them follow each other. Changes nothing.
class Chains {
 public:
  Chains(torch::nn::Module& model, const PairedModulesList& lists) : sites_(nn::module_sites(model)) {
    for (const nn::ModuleSite& site : sites_) {
      check(!site.slot() || !site.slot()->forward_passes(),
            "the model is prepared, and equalization changes the ranges that its "
            "observers have seen; equalize before prepare()");
    }
    for (const auto& list : lists) add_list(list);
  }

  std::map<const torch::nn::Module*, Layer>& layers() { return layers_; }
  const std::vector<Pair>& pairs() const { return pairs_; }

 private:
  void add_list(const std::vector<std::string>& list) {
    std::vector<Layer*> chain;
    for (size_t i = 0; i < list.size(); ++i) {
      const auto site = std::find_if(sites_.begin(), sites_.end(), [&](const auto& place) { return place.path() == list[i]; });
      check(site != sites_.end(), "the model has no module \"", list[i], "\"");
      const bool is_end = i == 0 || i + 1 == list.size();
      const auto module = WeightedModule::of(*site);
      check(module || !is_end, "\"", list[i], "\" is a ", site->type_name(), describe_state(*site),
            ", but a list begins and ends with a Linear or a convolution in float");
      check(i + 1 == list.size() || passes_scales(site->type_name()), "the scale of a channel does not pass through \"", list[i],
            "\", a ", site->type_name(), "; ", how_to_pass_scales(site->type_name()));
      if (module) chain.push_back(&layers_.try_emplace(&site->module(), *module).first->second);
    }
    check(chain.size() > 1, "got a list with ", chain.size(), " module, expected two or more that follow each other");
    for (size_t i = 0; i + 1 < chain.size(); ++i) add_pair({chain[i], chain[i + 1]});
  }

  void add_pair(const Pair& pair) {
    const WeightedModule &first = pair.first->module, &second = pair.second->module;
    check(first.out_channels() == second.in_channels(), "\"", first.path(), "\" has ", first.out_channels(),
          " output channels, but \"", second.path(), "\" takes ", second.in_channels(), "; do they really follow each other?");
    check(firsts_.insert(pair.first).second && seconds_.insert(pair.second).second, "\"", first.path(), "\" and \"",
          second.path(), "\": one of them has another neighbor already, whose channels it can't be scaled with at the same time");
    pairs_.push_back(pair);
  }

  static std::string describe_state(const nn::ModuleSite& site) {
    return site.slot() && site.slot()->implementation() ? " that became " + site.slot()->implementation()->kind() : "";
  }

  std::vector<nn::ModuleSite> sites_;
  std::map<const torch::nn::Module*, Layer> layers_;
  std::vector<Pair> pairs_;
  std::set<const Layer*> firsts_, seconds_;
};

/// How often the largest range goes into the smallest, of those that are not 0.
double spread(const at::Tensor& ranges) {
  const at::Tensor nonzero = ranges.masked_select(ranges > 0);
  return nonzero.numel() > 0 ? (nonzero.max() / nonzero.min()).item<double>() : 1;
}

/// @return how far the factors are from 1
double equalize_pair(const Pair& pair) {
  const at::Tensor first = pair.first->output_ranges(), second = pair.second->input_ranges();
  const at::Tensor scale = at::where((first > 0).logical_and(second > 0), (first / second).sqrt(), 1.0);
  pair.first->divide_outputs(scale);
  pair.second->multiply_inputs(scale);
  return (scale - 1).abs().max().item<double>();
}

Chains find_chains(torch::nn::Module& model, const PairedModulesList& lists) {
  try {
    return {model, lists};
  } catch (const Error& error) {
    fail("equalize: ", error.what());
  }
}

}  // namespace

Report equalize(torch::nn::Module& model, const PairedModulesList& paired_modules_list, double threshold) {
  const torch::NoGradGuard no_grad;
  Chains chains = find_chains(model, paired_modules_list);
  std::map<const torch::nn::Module*, double> spread_before;
  for (const auto& [module, layer] : chains.layers()) spread_before[module] = spread(layer.output_ranges());
  double distance = threshold + 1;
  for (int round = 0; round < kMaxRounds && distance > threshold; ++round) {
    distance = 0;
    for (const Pair& pair : chains.pairs()) distance = std::max(distance, equalize_pair(pair));
  }
  Report report;
  for (const nn::ModuleSite& site : nn::module_sites(model)) {
    const auto found = chains.layers().find(&site.module());
    if (found == chains.layers().end() || site.same_as()) continue;
    Layer& layer = found->second;
    layer.module.replace_parameters(layer.module.ungrouped(layer.weight),
                                    layer.bias.defined() ? layer.bias.to(layer.module.bias()) : layer.bias);
    report.add({site.path(), site.type_name(), ModuleStatus::adjusted,
                c10::str("the ranges of its output channels differ by a factor of ", spread(layer.output_ranges()),
                         ", before by ", spread_before[&site.module()])});
  }
  return report;
}

}  // namespace octet
