// Linear and the convolutions as those workflows see them that change their weights.
#pragma once

#include <octet/nn/module_site.h>

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace octet {

/// A Linear or a convolution with its float parameters, alone or with an activation fused to it.
class WeightedModule {
 public:
  /// Null for modules of other classes, and for those whose float parameters are gone.
  static std::optional<WeightedModule> of(const nn::ModuleSite& site);

  const std::string& path() const { return path_; }
  const std::string& type_name() const { return type_name_; }
  nn::SlotBase* slot() const { return slot_; }

  at::Tensor weight() const;  ///< as torch.nn has it
  at::Tensor bias() const;    ///< undefined if there is none
  int64_t groups() const;
  int64_t in_channels() const { return grouped(weight()).size(2) * groups(); }
  int64_t out_channels() const { return grouped(weight()).size(1) * groups(); }

  /// A weight of the module's shape in one layout for all, [groups, out / groups, in / groups, kernel].
  at::Tensor grouped(const at::Tensor& weight) const;

  /// Back to the layout, the dtype and the device that the module's weight has.
  at::Tensor ungrouped(const at::Tensor& grouped) const;

  /// What the module computes with the parameters that it has now, without hooks and observers: first without the fused
  /// activation, then with it. Of modules that take two tensors the convolution alone.
  at::Tensor linear(const at::Tensor& input) const;
  at::Tensor forward(const at::Tensor& input) const;

  /// Lets the module compute with other tensors for a while. The registered parameters stay what they are.
  void compute_with(const at::Tensor& weight, const at::Tensor& bias);

  /// Puts new tensors in the place of the parameters; undefined ones leave theirs.
  void replace_parameters(const at::Tensor& weight, const at::Tensor& bias);

  /// A result of linear(), each channel a row.
  at::Tensor channels_as_rows(const at::Tensor& output) const;

  /// With a batch dimension of size 1 if there was none.
  at::Tensor as_batch(const at::Tensor& input) const { return input.dim() == sample_dim() ? input.unsqueeze(0) : input; }

 private:
  using Float = std::variant<torch::nn::LinearImpl*, torch::nn::Conv1dImpl*, torch::nn::Conv2dImpl*, torch::nn::Conv3dImpl*,
                             torch::nn::ConvTranspose1dImpl*, torch::nn::ConvTranspose2dImpl*, torch::nn::ConvTranspose3dImpl*>;

  WeightedModule(const nn::ModuleSite& site, Float module);

  template <class... Modules>
  static std::optional<Float> as_float(torch::nn::Module& module, const std::variant<Modules*...>*);

  bool is_transposed() const;
  int64_t sample_dim() const;  // of one input without a batch dimension

  std::string path_, type_name_;
  nn::SlotBase* slot_;
  Float module_;
};

}  // namespace octet
