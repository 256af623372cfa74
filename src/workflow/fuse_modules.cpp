#include <octet/nn/intrinsic.h>
#include <octet/nn/module_site.h>
#include <octet/nn/modules.h>
#include <octet/observe/qconfig_mapping.h>
#include <octet/workflow/fuse_modules.h>

#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace octet {
namespace {

using nn::ModuleSite;
using Sequence = std::vector<std::type_index>;

/// How one kind of sequence becomes one module.
struct Pattern {
  void (*check_fold)(const ModuleSite& first, const ModuleSite& norm);  // null: nothing is folded
  void (*fold)(torch::nn::Module& first, torch::nn::Module& norm);      // null: nothing is folded
  std::shared_ptr<nn::ImplementationBase> (*with_relu)();               // null: no ReLU at the end
};

/// Scale and shift of a batch norm in eval mode: y = x * scale + (shift - mean * scale).
struct FoldedNorm {
  at::Tensor scale, mean, shift;
};

template <class Norm>
FoldedNorm folded(const Norm& norm) {
  const at::Tensor mean = norm.running_mean;
  at::Tensor scale = at::rsqrt(norm.running_var + norm.options.eps());
  if (norm.weight.defined()) scale = norm.weight * scale;
  return {scale, mean, norm.bias.defined() ? norm.bias : at::zeros_like(mean)};
}

template <class Float>
constexpr bool is_transposed =
    std::is_same_v<Float, torch::nn::ConvTranspose1dImpl> || std::is_same_v<Float, torch::nn::ConvTranspose2dImpl> ||
    std::is_same_v<Float, torch::nn::ConvTranspose3dImpl>;

/// The scale of each output channel, shaped to multiply the weight. Transposed convolutions have their outputs along the second
/// dimension, group by group.
template <class Float>
at::Tensor scaled_weight(const Float& module, const at::Tensor& scale) {
  const at::Tensor& weight = module.weight;
  if constexpr (is_transposed<Float>) {
    const int64_t groups = module.options.groups();
    std::vector<int64_t> grouped = weight.sizes().vec();
    grouped[0] /= groups;
    grouped.insert(grouped.begin(), groups);
    std::vector<int64_t> along(grouped.size(), 1);
    along[0] = groups;
    along[2] = grouped[2];
    return (weight.reshape(grouped) * scale.reshape(along)).reshape(weight.sizes());
  } else {
    std::vector<int64_t> along(weight.dim(), 1);
    along[0] = -1;
    return weight * scale.reshape(along);
  }
}

template <class Float>
int64_t out_channels(const Float& module) {
  if constexpr (requires { module.options.out_channels(); }) {
    return module.options.out_channels();
  } else {
    return module.options.out_features();
  }
}

template <class Float, class Norm>
void check_fold(const ModuleSite& first, const ModuleSite& norm_site) {
  const auto& norm = dynamic_cast<const Norm&>(norm_site.module());
  check(!first.module().is_training() && !norm_site.module().is_training(), "fuse_modules: ", first.path(), " or ",
        norm_site.path(),
        " is in training mode; folding a batch norm needs its final statistics, so call eval() on the model first");
  check(norm.running_mean.defined() && norm.running_var.defined(), "fuse_modules: the batch norm ", norm_site.path(),
        " has no running statistics (track_running_stats = false), so nothing can be folded; leave it out of the list");
  check(norm.running_mean.numel() == out_channels(dynamic_cast<const Float&>(first.module())), "fuse_modules: ", first.path(),
        " has ", out_channels(dynamic_cast<const Float&>(first.module())), " output channels, but the batch norm ",
        norm_site.path(), " has ", norm.running_mean.numel(), " features; do they really follow each other?");
}

/// torch.nn.utils.fusion.fuse_conv_bn_weights and fuse_linear_bn_weights.
template <class Float, class Norm>
void fold(torch::nn::Module& first, torch::nn::Module& norm_module) {
  const torch::NoGradGuard no_grad;
  auto& module = dynamic_cast<Float&>(first);
  const FoldedNorm norm = folded(dynamic_cast<const Norm&>(norm_module));
  const at::Tensor bias =
      ((module.bias.defined() ? module.bias - norm.mean : -norm.mean) * norm.scale + norm.shift).to(module.weight);
  module.weight.set_data(scaled_weight(module, norm.scale).to(module.weight));
  module.options.bias(true);  // what clone() rebuilds
  if (module.bias.defined()) {
    module.bias.set_data(bias);
  } else {
    auto& parameters = nn::detail::ModuleInternals::parameters(first);
    module.bias = bias.clone().set_requires_grad(module.weight.requires_grad());
    if (parameters.contains("bias")) parameters.erase("bias");  // registered, but undefined
    parameters.insert("bias", at::Tensor(module.bias));
  }
}

template <class Implementation>
std::shared_ptr<nn::ImplementationBase> make() {
  return std::make_shared<Implementation>();
}

using Patterns = std::map<Sequence, Pattern>;

/// The sequences that begin with Float. `void` stands for a batch norm or a ReLU that cannot follow.
template <class Float, class Norm, class WithReLU>
void add(Patterns& patterns) {
  using torch::nn::ReLUImpl;
  constexpr bool has_norm = !std::is_void_v<Norm>, has_relu = !std::is_void_v<WithReLU>;
  if constexpr (has_norm) patterns[{typeid(Float), typeid(Norm)}] = {check_fold<Float, Norm>, fold<Float, Norm>, nullptr};
  if constexpr (has_relu) patterns[{typeid(Float), typeid(ReLUImpl)}] = {nullptr, nullptr, make<WithReLU>};
  if constexpr (has_norm && has_relu) {
    patterns[{typeid(Float), typeid(Norm), typeid(ReLUImpl)}] = {check_fold<Float, Norm>, fold<Float, Norm>, make<WithReLU>};
  }
}

const Patterns& patterns() {
  static const Patterns table = [] {
    using namespace torch::nn;
    namespace fused = octet::nn::intrinsic;
    Patterns all;
    add<Conv1dImpl, BatchNorm1dImpl, fused::ConvReLU1dImpl>(all);
    add<Conv2dImpl, BatchNorm2dImpl, fused::ConvReLU2dImpl>(all);
    add<Conv3dImpl, BatchNorm3dImpl, fused::ConvReLU3dImpl>(all);
    add<LinearImpl, BatchNorm1dImpl, fused::LinearReLUImpl>(all);
    add<BatchNorm2dImpl, void, fused::BNReLU2dImpl>(all);
    add<BatchNorm3dImpl, void, fused::BNReLU3dImpl>(all);
    add<ConvTranspose1dImpl, BatchNorm1dImpl, void>(all);
    add<ConvTranspose2dImpl, BatchNorm2dImpl, void>(all);
    add<ConvTranspose3dImpl, BatchNorm3dImpl, void>(all);
    return all;
  }();
  return table;
}

std::string describe(const Sequence& sequence) {
  std::string text;
  for (const std::type_index type : sequence) text += (text.empty() ? "(" : ", ") + ModuleType(type).name();
  return text + ")";
}

std::string known_patterns() {
  std::set<std::string> texts;
  for (const auto& [sequence, pattern] : patterns()) texts.insert(describe(sequence));
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

/// The modules of one list, and what becomes of them.
struct Group {
  std::vector<ModuleSite*> sites;
  const Pattern* pattern;
};

/// Finds and checks one list. Changes nothing.
Group find_group(std::vector<ModuleSite>& sites, const std::vector<std::string>& paths,
                 std::set<const torch::nn::Module*>& used) {
  Group group;
  Sequence sequence;
  for (const std::string& path : paths) {
    const auto site = std::find_if(sites.begin(), sites.end(), [&](const ModuleSite& place) { return place.path() == path; });
    check(site != sites.end(), "fuse_modules: the model has no module \"", path, "\"");
    check(used.insert(&site->module()).second, "fuse_modules: \"", path, "\" appears twice; a module can be fused once");
    check(!site->slot() || !site->slot()->implementation(), "fuse_modules: \"", path, "\" has been swapped for ",
          site->slot() && site->slot()->implementation() ? site->slot()->implementation()->kind() : "",
          " before; fuse the float model, once");
    check(site->swappable(), "fuse_modules: \"", path, "\" is a torch::nn::", site->type_name(),
          " in a member or list, whose class cannot change; declare it as octet::nn::", site->type_name());
    sequence.push_back(site->float_type());
    group.sites.push_back(&*site);
  }
  const auto pattern = patterns().find(sequence);
  check(pattern != patterns().end(), "fuse_modules: nothing is known that fuses ", describe(sequence), " (\"",
        c10::Join("\", \"", paths), "\"); known: ", known_patterns());
  group.pattern = &pattern->second;
  if (group.pattern->check_fold) group.pattern->check_fold(*group.sites[0], *group.sites[1]);
  return group;
}

}  // namespace

Report fuse_modules(torch::nn::Module& model, const ModulesToFuse& modules_to_fuse) {
  std::vector<ModuleSite> sites = nn::module_sites(model);
  std::set<const torch::nn::Module*> used;
  std::vector<Group> groups;
  for (const auto& paths : modules_to_fuse) groups.push_back(find_group(sites, paths, used));

  Report report;
  for (const Group& group : groups) {
    ModuleSite& first = *group.sites[0];
    const std::string first_type = first.type_name();
    if (group.pattern->fold) group.pattern->fold(first.module(), group.sites[1]->module());
    if (group.pattern->with_relu) first.swap(group.pattern->with_relu());
    report.add({first.path(), first_type, ModuleStatus::fused,
                "computes for " + std::to_string(group.sites.size()) + " modules, as " + first.type_name()});
    for (size_t i = 1; i < group.sites.size(); ++i) {
      const std::string type = group.sites[i]->type_name();
      group.sites[i]->swap(std::make_shared<nn::intrinsic::IdentityImpl>());
      report.add({group.sites[i]->path(), type, ModuleStatus::fused, "Identity; part of " + first.path()});
    }
  }
  return report;
}

}  // namespace octet
