#include <octet/nn/intrinsic.h>
#include <octet/nn/modules.h>
#include <octet/tensor/error.h>
#include <octet/workflow/fuser_method_mappings.h>

#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros_like.h>

#include <memory>
#include <type_traits>
#include <utility>

namespace octet {
namespace {

template <class Float>
constexpr bool is_transposed =
    std::is_same_v<Float, torch::nn::ConvTranspose1dImpl> || std::is_same_v<Float, torch::nn::ConvTranspose2dImpl> ||
    std::is_same_v<Float, torch::nn::ConvTranspose3dImpl>;

/// The weight with each output channel multiplied by its scale. Transposed convolutions have their outputs along the second
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

/// A batch norm folded into the module before it. In eval mode it is y = (x - mean) * scale + shift.
/// torch.nn.utils.fusion.fuse_conv_bn_weights and fuse_linear_bn_weights.
template <class Float, class Norm>
FusedModule fold(const Float& module, const Norm& norm) {
  check(!module.is_training() && !norm.is_training(),
        "a module is in training mode, but folding a batch norm needs its final statistics; call eval() on the model first");
  check(norm.running_mean.defined() && norm.running_var.defined(),
        "the batch norm has no running statistics (track_running_stats = false), so nothing can be folded; leave it out");
  const int64_t channels = out_channels(module), features = norm.running_mean.numel();
  check(channels == features, "the first module has ", channels, " output channels, but the batch norm has ", features,
        " features; do they really follow each other?");

  const torch::NoGradGuard no_grad;
  const at::Tensor& mean = norm.running_mean;
  at::Tensor scale = at::rsqrt(norm.running_var + norm.options.eps());
  if (norm.weight.defined()) scale = norm.weight * scale;
  const at::Tensor shift = norm.bias.defined() ? norm.bias : at::zeros_like(mean);
  const at::Tensor bias = (module.bias.defined() ? module.bias - mean : -mean) * scale + shift;
  return {.weight = scaled_weight(module, scale).to(module.weight), .bias = bias.to(module.weight)};
}

/// The sequences that begin with Float. `void` stands for a batch norm or a ReLU that cannot follow.
template <class Float, class Norm, class WithReLU>
void add(FuserMethodMappings& mappings) {
  using torch::nn::ReLUImpl;
  constexpr bool has_norm = !std::is_void_v<Norm>, has_relu = !std::is_void_v<WithReLU>;
  if constexpr (has_norm) mappings.set<Float, Norm>(&fold<Float, Norm>);
  if constexpr (has_relu) {
    mappings.set<Float, ReLUImpl>([](const Float&, const ReLUImpl&) { return FusedModule{std::make_shared<WithReLU>()}; });
  }
  if constexpr (has_norm && has_relu) {
    mappings.set<Float, Norm, ReLUImpl>([](const Float& module, const Norm& norm, const ReLUImpl&) {
      FusedModule fused = fold(module, norm);
      fused.implementation = std::make_shared<WithReLU>();
      return fused;
    });
  }
}

FuserMethodMappings make_default() {
  using namespace torch::nn;
  namespace fused = octet::nn::intrinsic;
  FuserMethodMappings mappings;
  add<Conv1dImpl, BatchNorm1dImpl, fused::ConvReLU1dImpl>(mappings);
  add<Conv2dImpl, BatchNorm2dImpl, fused::ConvReLU2dImpl>(mappings);
  add<Conv3dImpl, BatchNorm3dImpl, fused::ConvReLU3dImpl>(mappings);
  add<LinearImpl, BatchNorm1dImpl, fused::LinearReLUImpl>(mappings);
  add<BatchNorm2dImpl, void, fused::BNReLU2dImpl>(mappings);
  add<BatchNorm3dImpl, void, fused::BNReLU3dImpl>(mappings);
  add<ConvTranspose1dImpl, BatchNorm1dImpl, void>(mappings);
  add<ConvTranspose2dImpl, BatchNorm2dImpl, void>(mappings);
  add<ConvTranspose3dImpl, BatchNorm3dImpl, void>(mappings);
  return mappings;
}

FuserMethodMappings make_onednn() {
  using namespace torch::nn;
  namespace fused = octet::nn::intrinsic;
  const auto leaky_relu = [](const LeakyReLUImpl& activation) {
    return std::make_shared<fused::LinearLeakyReLUImpl>(activation.options.negative_slope());
  };
  FuserMethodMappings mappings = default_fuser_method_mappings();
  mappings.set<LinearImpl, TanhImpl>(
      [](const LinearImpl&, const TanhImpl&) { return FusedModule{std::make_shared<fused::LinearTanhImpl>()}; });
  mappings.set<LinearImpl, LeakyReLUImpl>(
      [=](const LinearImpl&, const LeakyReLUImpl& activation) { return FusedModule{leaky_relu(activation)}; });
  mappings.set<LinearImpl, BatchNorm1dImpl, LeakyReLUImpl>(
      [=](const LinearImpl& linear, const BatchNorm1dImpl& norm, const LeakyReLUImpl& activation) {
        FusedModule result = fold(linear, norm);
        result.implementation = leaky_relu(activation);
        return result;
      });
  return mappings;
}

}  // namespace

const FuserMethodMappings::Method* FuserMethodMappings::find(const Sequence& sequence) const {
  const auto found = methods_.find(sequence);
  return found == methods_.end() ? nullptr : &found->second;
}

const FuserMethodMappings& default_fuser_method_mappings() {
  static const FuserMethodMappings mappings = make_default();
  return mappings;
}

const FuserMethodMappings& onednn_fuser_method_mappings() {
  static const FuserMethodMappings mappings = make_onednn();
  return mappings;
}

}  // namespace octet
