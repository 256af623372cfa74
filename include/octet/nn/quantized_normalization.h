#pragma once

#include <octet/nn/implementation_of.h>
#include <octet/nn/modules.h>
#include <octet/nn/output_qparams.h>
#include <octet/observe/qconfig.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// Statically quantized normalization: 8-bit integers in and out, float weights and biases, sums of integers that are exact
/// (kernels/normalization.h). All take tensors that are quantized per tensor, in the dtype that their output was calibrated for,
/// on the CPU, and throw Error for others. The output has the input's memory format.
namespace octet::nn {
namespace quantized {

/// The weight and the bias of a normalization: 1 and 0 for modules without them.
struct NormalizationTerms {
  at::Tensor weight;  ///< float32, contiguous
  at::Tensor bias;    ///< float32, contiguous, alike
  bool affine;        ///< whether the module has them; else they are no part of its state

  /// Copies. @param weight, bias  floating, of shape `sizes`, or undefined. @throws Error for other tensors
  static NormalizationTerms from(const at::Tensor& weight, const at::Tensor& bias, at::IntArrayRef sizes,
                                 const std::string& path);

  /// To and from the tensors `weight` and `bias` and the attribute `affine`. @throws Error for what is missing or wrong
  void append_to(StateDict& state) const;
  void append_to(Attributes& attributes) const { attributes["affine"] = affine; }
  static NormalizationTerms from(const StateDict& state, const Attributes& attributes, at::IntArrayRef sizes,
                                 const std::string& path);

  int64_t bytes() const;
};

/// What all normalizations have in common.
class NormalizationModule : public Implementation<at::Tensor(const at::Tensor&)> {
 public:
  NormalizationModule(NormalizationTerms terms, double eps, const OutputQParams& output)
      : terms_(std::move(terms)), eps_(eps), output_(output) {}

  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override { return terms_.bytes(); }

  const at::Tensor& weight() const { return terms_.weight; }
  const at::Tensor& bias() const { return terms_.bias; }
  double eps() const { return eps_; }
  const OutputQParams& output() const { return output_; }

 protected:
  /// The attribute `eps`. @throws Error unless it is there, finite and not negative
  static double eps_from(const Attributes& attributes, const std::string& path);

  /// @throws Error unless the input is one that these modules take
  void check_input(const at::Tensor& input) const;

  /// Normalizes each group of channels in each row of a checked input.
  /// @param rows, channels  the input is [rows][channels][...] when contiguous; `groups` divides the channels
  at::Tensor normalize_groups(const at::Tensor& input, int64_t rows, int64_t channels, int64_t groups) const;

  void print_common(std::ostream& stream) const;

 private:
  NormalizationTerms terms_;
  double eps_;
  OutputQParams output_;
};

/// torch.ao.nn.quantized.LayerNorm.
class LayerNormImpl : public ImplementationOf<LayerNormImpl, NormalizationModule> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::LayerNorm";

  /// @param module  in a slot whose observer was calibrated
  /// @throws Error as OutputQParams::from
  static std::shared_ptr<LayerNormImpl> from_float(const torch::nn::LayerNormImpl& module, const QConfig& qconfig,
                                                   const std::string& path);
  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<LayerNormImpl> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  /// @param terms  of shape `normalized_shape`
  LayerNormImpl(std::vector<int64_t> normalized_shape, NormalizationTerms terms, double eps, const OutputQParams& output);

  /// @param input  [..., *normalized_shape]
  at::Tensor forward(const at::Tensor& input) override;
  Attributes attributes() const override;
  void pretty_print(std::ostream& stream) const override;

 private:
  std::vector<int64_t> normalized_shape_;
};
TORCH_MODULE(LayerNorm);

/// torch.ao.nn.quantized.GroupNorm.
class GroupNormImpl : public ImplementationOf<GroupNormImpl, NormalizationModule> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::GroupNorm";

  /// @param module  in a slot whose observer was calibrated
  /// @throws Error as OutputQParams::from
  static std::shared_ptr<GroupNormImpl> from_float(const torch::nn::GroupNormImpl& module, const QConfig& qconfig,
                                                   const std::string& path);
  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<GroupNormImpl> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  /// @param num_groups  divides the number of channels
  /// @param terms       of shape [channels]
  GroupNormImpl(int64_t num_groups, NormalizationTerms terms, double eps, const OutputQParams& output);

  /// @param input  [N, channels, ...]
  at::Tensor forward(const at::Tensor& input) override;
  Attributes attributes() const override;
  void pretty_print(std::ostream& stream) const override;

 private:
  int64_t num_groups_;
};
TORCH_MODULE(GroupNorm);

/// What InstanceNorm1d, 2d and 3d have in common. They normalize by the statistics of the input, whichever mode they are in.
class InstanceNormModule : public NormalizationModule {
 public:
  /// @param terms  of shape [num_features]
  using NormalizationModule::NormalizationModule;

  Attributes attributes() const override;
  void pretty_print(std::ostream& stream) const override;

 protected:
  static NormalizationTerms terms_from_float(const torch::nn::InstanceNormOptions& options, const at::Tensor& weight,
                                             const at::Tensor& bias, const std::string& path);
  static NormalizationTerms terms_from_state(const StateDict& state, const Attributes& attributes, const std::string& path);
  at::Tensor apply(const at::Tensor& input, int64_t spatial_dimensions) const;
};

template <class Self, class FloatModule, int64_t spatial_dimensions>
class InstanceNormOf : public ImplementationOf<Self, InstanceNormModule> {
 public:
  using ImplementationOf<Self, InstanceNormModule>::ImplementationOf;

  /// @param module  in a slot whose observer was calibrated
  /// @throws Error as OutputQParams::from, and for modules that track running statistics, by which they would normalize in eval
  ///         mode (torch.ao passes them over)
  static std::shared_ptr<Self> from_float(const FloatModule& module, const QConfig&, const std::string& path) {
    return std::make_shared<Self>(InstanceNormModule::terms_from_float(module.options, module.weight, module.bias, path),
                                  module.options.eps(), OutputQParams::from(module, path));
  }
  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<Self> from_state(const StateDict& state, const Attributes& attributes, const std::string& path) {
    return std::make_shared<Self>(InstanceNormModule::terms_from_state(state, attributes, path),
                                  NormalizationModule::eps_from(attributes, path), OutputQParams::from(state, attributes, path));
  }

  /// @param input  [N, num_features, ...] or [num_features, ...], with as many dimensions after it as the name says
  at::Tensor forward(const at::Tensor& input) override { return this->apply(input, spatial_dimensions); }
};

/// torch.ao.nn.quantized.InstanceNorm1d.
class InstanceNorm1dImpl : public InstanceNormOf<InstanceNorm1dImpl, torch::nn::InstanceNorm1dImpl, 1> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::InstanceNorm1d";
  using InstanceNormOf::InstanceNormOf;
};
TORCH_MODULE(InstanceNorm1d);

/// torch.ao.nn.quantized.InstanceNorm2d.
class InstanceNorm2dImpl : public InstanceNormOf<InstanceNorm2dImpl, torch::nn::InstanceNorm2dImpl, 2> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::InstanceNorm2d";
  using InstanceNormOf::InstanceNormOf;
};
TORCH_MODULE(InstanceNorm2d);

/// torch.ao.nn.quantized.InstanceNorm3d.
class InstanceNorm3dImpl : public InstanceNormOf<InstanceNorm3dImpl, torch::nn::InstanceNorm3dImpl, 3> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::InstanceNorm3d";
  using InstanceNormOf::InstanceNormOf;
};
TORCH_MODULE(InstanceNorm3d);

/// What BatchNorm2d and 3d and their fused forms have in common. They normalize by running statistics:
///   y = fma(x, alpha, beta),  alpha = weight / sqrt(running_var + eps),  beta = bias - running_mean * alpha
/// with alpha and beta of each channel computed in float64 and rounded to float32.
class BatchNormModule : public NormalizationModule {
 public:
  struct Statistics {
    at::Tensor running_mean;  ///< float32, [num_features]
    at::Tensor running_var;   ///< float32, [num_features]
  };

  /// @param terms  of shape [num_features]
  BatchNormModule(NormalizationTerms terms, Statistics statistics, double eps, const OutputQParams& output);

  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override;
  void pretty_print(std::ostream& stream) const override;
  const Statistics& statistics() const { return statistics_; }

 protected:
  static Statistics statistics_from_float(const at::Tensor& running_mean, const at::Tensor& running_var, int64_t num_features,
                                          const std::string& path);
  static Statistics statistics_from_state(const StateDict& state, const Attributes& attributes, const std::string& path);
  at::Tensor apply(const at::Tensor& input, int64_t spatial_dimensions, bool with_relu) const;

 private:
  Statistics statistics_;
  at::Tensor alpha_, beta_;
};

template <class Self, class FloatModule, int64_t spatial_dimensions, bool with_relu>
class BatchNormOf : public ImplementationOf<Self, BatchNormModule> {
 public:
  using ImplementationOf<Self, BatchNormModule>::ImplementationOf;

  /// @param module  in a slot whose observer was calibrated
  /// @throws Error as OutputQParams::from, and for modules without running statistics
  static std::shared_ptr<Self> from_float(const FloatModule& module, const QConfig&, const std::string& path) {
    const int64_t features = module.options.num_features();
    auto statistics = BatchNormModule::statistics_from_float(module.running_mean, module.running_var, features, path);
    return std::make_shared<Self>(NormalizationTerms::from(module.weight, module.bias, {features}, path), std::move(statistics),
                                  module.options.eps(), OutputQParams::from(module, path));
  }
  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<Self> from_state(const StateDict& state, const Attributes& attributes, const std::string& path) {
    auto statistics = BatchNormModule::statistics_from_state(state, attributes, path);
    auto terms = NormalizationTerms::from(state, attributes, statistics.running_mean.sizes(), path);
    return std::make_shared<Self>(std::move(terms), std::move(statistics), NormalizationModule::eps_from(attributes, path),
                                  OutputQParams::from(state, attributes, path));
  }

  /// @param input  [N, num_features, ...], with as many dimensions after it as the name says
  at::Tensor forward(const at::Tensor& input) override { return this->apply(input, spatial_dimensions, with_relu); }
};

/// torch.ao.nn.quantized.BatchNorm2d.
class BatchNorm2dImpl : public BatchNormOf<BatchNorm2dImpl, torch::nn::BatchNorm2dImpl, 2, false> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::BatchNorm2d";
  using BatchNormOf::BatchNormOf;
};
TORCH_MODULE(BatchNorm2d);

/// torch.ao.nn.quantized.BatchNorm3d.
class BatchNorm3dImpl : public BatchNormOf<BatchNorm3dImpl, torch::nn::BatchNorm3dImpl, 3, false> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::BatchNorm3d";
  using BatchNormOf::BatchNormOf;
};
TORCH_MODULE(BatchNorm3d);

}  // namespace quantized

namespace intrinsic::quantized {

/// torch.ao.nn.intrinsic.quantized.BNReLU2d. It takes the place of a fused nn::intrinsic::BNReLU2d.
class BNReLU2dImpl : public nn::quantized::BatchNormOf<BNReLU2dImpl, torch::nn::BatchNorm2dImpl, 2, true> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::quantized::BNReLU2d";
  using BatchNormOf::BatchNormOf;
};
TORCH_MODULE(BNReLU2d);

/// torch.ao.nn.intrinsic.quantized.BNReLU3d. It takes the place of a fused nn::intrinsic::BNReLU3d.
class BNReLU3dImpl : public nn::quantized::BatchNormOf<BNReLU3dImpl, torch::nn::BatchNorm3dImpl, 3, true> {
 public:
  static constexpr const char* kKind = "octet::nn::intrinsic::quantized::BNReLU3d";
  using BatchNormOf::BatchNormOf;
};
TORCH_MODULE(BNReLU3d);

}  // namespace intrinsic::quantized
}  // namespace octet::nn
