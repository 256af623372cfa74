#include <octet/nn/batch_norm_folding.h>
#include <octet/nn/intrinsic.h>
#include <octet/nn/intrinsic_qat.h>
#include <octet/nn/modules.h>
#include <octet/tensor/error.h>
#include <octet/workflow/fuser_method_mappings.h>

#include <memory>
#include <type_traits>
#include <utility>

namespace octet {
namespace {

template <class Float>
int64_t out_channels(const Float& module) {
  if constexpr (requires { module.options.out_channels(); }) {
    return module.options.out_channels();
  } else {
    return module.options.out_features();
  }
}

template <class Float, class Norm>
void check_follows(const Float& module, const Norm& norm) {
  check(norm.running_mean.defined() && norm.running_var.defined(),
        "the batch norm has no running statistics (track_running_stats = false), so nothing can be folded; leave it out");
  const int64_t channels = out_channels(module), features = norm.running_mean.numel();
  check(channels == features, "the first module has ", channels, " output channels, but the batch norm has ", features,
        " features; do they really follow each other?");
}

/// A batch norm folded into the module before it. torch.nn.utils.fusion.fuse_conv_bn_weights and fuse_linear_bn_weights.
template <class Float, class Norm>
FusedModule fold(const Float& module, const Norm& norm) {
  check(!module.is_training() && !norm.is_training(),
        "a module is in training mode, but folding a batch norm needs its final statistics; call eval() on the model first, or ",
        "fuse_modules_qat() for training");
  check_follows(module, norm);
  const torch::NoGradGuard no_grad;
  const auto parameters = nn::BatchNormParameters::of(norm);
  const at::Tensor scale = parameters.scale();
  return {.weight = nn::WeightLayout::of(module).scaled(module.weight, scale).to(module.weight),
          .bias = parameters.folded_bias(module.bias, scale).to(module.weight)};
}

/// A module and the batch norm after it, which goes on learning.
template <class Fused, class Float>
FusedModule with_batch_norm(const Float& module, const typename Fused::Norm& norm) {
  check_follows(module, norm);
  check(norm.weight.defined(), "the batch norm has no weight and bias (affine = false), which training would go on with; ",
        "make it affine, or leave it out");
  return {Fused::fuse(norm)};
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

/// The same for training. `void` stands for a class that is missing.
template <class Float, class WithNorm, class WithNormAndReLU, class WithReLU>
void add_trainable(FuserMethodMappings& mappings) {
  using torch::nn::ReLUImpl;
  using Norm = typename WithNorm::Norm;
  add<Float, void, WithReLU>(mappings);
  mappings.set<Float, Norm>(&with_batch_norm<WithNorm, Float>);
  if constexpr (!std::is_void_v<WithNormAndReLU>) {
    mappings.set<Float, Norm, ReLUImpl>(
        [](const Float& module, const Norm& norm, const ReLUImpl&) { return with_batch_norm<WithNormAndReLU>(module, norm); });
  }
}

FuserMethodMappings make_qat() {
  using namespace torch::nn;
  namespace fused = octet::nn::intrinsic;
  FuserMethodMappings mappings;
  add_trainable<Conv1dImpl, fused::ConvBn1dImpl, fused::ConvBnReLU1dImpl, fused::ConvReLU1dImpl>(mappings);
  add_trainable<Conv2dImpl, fused::ConvBn2dImpl, fused::ConvBnReLU2dImpl, fused::ConvReLU2dImpl>(mappings);
  add_trainable<Conv3dImpl, fused::ConvBn3dImpl, fused::ConvBnReLU3dImpl, fused::ConvReLU3dImpl>(mappings);
  add_trainable<LinearImpl, fused::LinearBn1dImpl, fused::LinearBnReLU1dImpl, fused::LinearReLUImpl>(mappings);
  add_trainable<ConvTranspose1dImpl, fused::ConvTransposeBn1dImpl, void, void>(mappings);
  add_trainable<ConvTranspose2dImpl, fused::ConvTransposeBn2dImpl, void, void>(mappings);
  add_trainable<ConvTranspose3dImpl, fused::ConvTransposeBn3dImpl, void, void>(mappings);
  add<BatchNorm2dImpl, void, fused::BNReLU2dImpl>(mappings);
  add<BatchNorm3dImpl, void, fused::BNReLU3dImpl>(mappings);
  return mappings;
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

const FuserMethodMappings& default_qat_fuser_method_mappings() {
  static const FuserMethodMappings mappings = make_qat();
  return mappings;
}

const FuserMethodMappings& onednn_fuser_method_mappings() {
  static const FuserMethodMappings mappings = make_onednn();
  return mappings;
}

}  // namespace octet
