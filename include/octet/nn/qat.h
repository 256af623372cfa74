#pragma once

#include <octet/nn/attributes.h>
#include <octet/nn/batch_norm_folding.h>
#include <octet/nn/implementation_of.h>
#include <octet/nn/modules.h>
#include <octet/nn/trained_parameters.h>
#include <octet/observe/qconfig.h>

#include <ATen/ops/relu.h>

#include <memory>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// Modules of quantization-aware training: what prepare_qat() puts into slots. torch.ao.nn.qat. Those of
/// fused modules are in intrinsic_qat.h.
namespace octet::nn {
namespace detail {

/// The fake quantization that a qconfig wants for a weight, as a new child of the slot.
/// @throws Error if its weight factory makes none, or one for channels that are not those of the output
std::shared_ptr<torch::nn::Module> make_weight_fake_quant(const QConfig& qconfig, const at::Tensor& weight,
                                                          const std::string& path);

/// A weight as the child `weight_fake_quant` of the slot rounds it, output channels first.
at::Tensor fake_quantized_weight(const torch::nn::Module& slot, const at::Tensor& outputs_first);

/// The parameters that a linear map computes with when a batch norm comes after it.
struct WithBatchNorm {
  at::Tensor weight, bias;
};

/// With the running statistics, the norm is in the parameters: the weight times scale = gamma / sqrt(running_var + eps) is
/// fake-quantized, as the converted module will quantize it, and the bias has the rest.
WithBatchNorm folded_and_fake_quantized(const torch::nn::Module& slot, const torch::nn::Module& norm, const at::Tensor& weight,
                                        const at::Tensor& bias, WeightLayout layout);

/// For the statistics of the batch, the weight is scaled and fake-quantized alike, and the scaling undone; the norm then
/// computes as it always does. torch.ao undoes it on the output, which is the same as each output channel depends linearly on
/// its weights; the weight is smaller. A channel whose gamma is 0 is fake-quantized as if gamma were 1: there is no undoing zero.
WithBatchNorm fake_quantized_for_batch_statistics(const torch::nn::Module& slot, const torch::nn::Module& norm,
                                                  const at::Tensor& weight, const at::Tensor& bias, WeightLayout layout);

/// The float module with other parameters.
template <class Float>
Float with_parameters(const Float& module, const at::Tensor& weight, const at::Tensor& bias) {
  Float copy(module);
  copy.weight = weight;
  if constexpr (has_bias<Float>) copy.bias = bias;
  return copy;
}

template <class Float>
at::Tensor bias_of(const Float& module) {
  if constexpr (has_bias<Float>) {
    return module.bias;
  } else {
    return {};
  }
}

/// What tells the training modules apart whose batch norm can be frozen.
class FreezableBatchNorm {
 public:
  virtual ~FreezableBatchNorm() = default;

  /// Whether the norm keeps to its running statistics also in training mode, and leaves them as they are.
  bool freeze_bn = false;
};

struct NothingToFreeze {};

}  // namespace detail

namespace qat {

/// A module whose weight is fake-quantized by the slot's child `weight_fake_quant` whenever it computes; the parameters stay
/// those of the slot, under their names.
/// @tparam Norm       the torch class of the batch norm that the module has as the slot's child `bn`, or void
/// @tparam with_relu  whether a ReLU comes last
template <class Self, class FloatModule, class Norm = void, bool with_relu = false,
          class Signature = nn::detail::ForwardSignatureOf<FloatModule>>
class FakeQuantizedOf;

template <class Self, class FloatModule, class Norm, bool with_relu, class... Arguments>
class FakeQuantizedOf<Self, FloatModule, Norm, with_relu, at::Tensor(Arguments...)>
    : public ImplementationOf<Self, FloatImplementation<at::Tensor(Arguments...)>>,
      public std::conditional_t<std::is_void_v<Norm>, nn::detail::NothingToFreeze, nn::detail::FreezableBatchNorm> {
  static constexpr bool kHasNorm = !std::is_void_v<Norm>;

 public:
  /// The class of the slots that it fits.
  using Wrapped = FloatModule;

  /// @param module  in a slot, which has a child `bn` already if there is a Norm
  /// @throws Error for a qconfig without fake quantization of the weight
  static std::shared_ptr<Self> from_float(const FloatModule& module, const QConfig& qconfig, const std::string& path) {
    auto made = std::make_shared<Self>();
    made->new_slot_children.emplace_back(kWeightFakeQuant, nn::detail::make_weight_fake_quant(qconfig, module.weight, path));
    return made;
  }

  /// As the file has it; the children of the slot must be there. @throws Error for an attribute of another type
  static std::shared_ptr<Self> from_state(const StateDict&, const Attributes& attributes, const std::string& path) {
    auto made = std::make_shared<Self>();
    if constexpr (kHasNorm) made->freeze_bn = attribute<bool>(attributes, "freeze_bn", path);
    return made;
  }

  at::Tensor forward(torch::nn::Module& slot, Arguments... arguments) override {
    const auto& module = dynamic_cast<const FloatModule&>(slot);
    const auto layout = WeightLayout::of(module);
    const at::Tensor bias = nn::detail::bias_of(module);
    const auto compute = [&](const at::Tensor& own_weight, const at::Tensor& own_bias) {
      return nn::detail::with_parameters(module, own_weight, own_bias).forward(arguments...);
    };
    at::Tensor result;
    if constexpr (kHasNorm) {
      auto& norm = dynamic_cast<Norm&>(*slot_child(slot, kBatchNorm));
      if (norm.is_training() && !this->freeze_bn) {
        const auto own = nn::detail::fake_quantized_for_batch_statistics(slot, norm, module.weight, bias, layout);
        result = norm.forward(compute(own.weight, own.bias));
      } else {
        const auto own = nn::detail::folded_and_fake_quantized(slot, norm, module.weight, bias, layout);
        result = compute(own.weight, own.bias);
      }
    } else {
      const at::Tensor rounded = nn::detail::fake_quantized_weight(slot, layout.outputs_first(module.weight));
      result = compute(layout.inputs_first(rounded), bias);
    }
    return with_relu ? at::relu(result) : result;
  }

  std::vector<std::string> slot_children() const override {
    return kHasNorm ? std::vector<std::string>{kBatchNorm, kWeightFakeQuant} : std::vector<std::string>{kWeightFakeQuant};
  }
  StateDict state_dict() const override { return StateDict(); }
  Attributes attributes() const override {
    if constexpr (kHasNorm) return {{"freeze_bn", this->freeze_bn}};
    return {};
  }
  int64_t weight_bytes() const override { return 0; }
  void pretty_print(std::ostream& stream) const override {
    stream << Self::kKind << "(";
    if constexpr (kHasNorm) stream << "freeze_bn=" << (this->freeze_bn ? "true" : "false");
    stream << ")";
  }
};

struct LinearImpl : FakeQuantizedOf<LinearImpl, torch::nn::LinearImpl> {
  static constexpr const char* kKind = "octet::nn::qat::Linear";
};
struct Conv1dImpl : FakeQuantizedOf<Conv1dImpl, torch::nn::Conv1dImpl> {
  static constexpr const char* kKind = "octet::nn::qat::Conv1d";
};
struct Conv2dImpl : FakeQuantizedOf<Conv2dImpl, torch::nn::Conv2dImpl> {
  static constexpr const char* kKind = "octet::nn::qat::Conv2d";
};
struct Conv3dImpl : FakeQuantizedOf<Conv3dImpl, torch::nn::Conv3dImpl> {
  static constexpr const char* kKind = "octet::nn::qat::Conv3d";
};
/// Transposed convolutions, which torch.ao has no training form of. The fake quantization sees the output channels along
/// dimension 0, as the observers of post-training quantization do.
struct ConvTranspose1dImpl : FakeQuantizedOf<ConvTranspose1dImpl, torch::nn::ConvTranspose1dImpl> {
  static constexpr const char* kKind = "octet::nn::qat::ConvTranspose1d";
};
struct ConvTranspose2dImpl : FakeQuantizedOf<ConvTranspose2dImpl, torch::nn::ConvTranspose2dImpl> {
  static constexpr const char* kKind = "octet::nn::qat::ConvTranspose2d";
};
struct ConvTranspose3dImpl : FakeQuantizedOf<ConvTranspose3dImpl, torch::nn::ConvTranspose3dImpl> {
  static constexpr const char* kKind = "octet::nn::qat::ConvTranspose3d";
};
/// Embeddings, whose rows have a float scale and zero point each: for a qconfig such as default_embedding_qat_qconfig.
struct EmbeddingImpl : FakeQuantizedOf<EmbeddingImpl, torch::nn::EmbeddingImpl> {
  static constexpr const char* kKind = "octet::nn::qat::Embedding";
};
struct EmbeddingBagImpl : FakeQuantizedOf<EmbeddingBagImpl, torch::nn::EmbeddingBagImpl> {
  static constexpr const char* kKind = "octet::nn::qat::EmbeddingBag";
};

namespace dynamic {

/// Linear for dynamic quantization: its input too is fake-quantized, by the range of each batch, as the converted module will
/// quantize it, by the slot's child `input_fake_quant`; the output is left alone. (torch.ao.nn.qat.dynamic.Linear fake-quantizes
/// the output in place of the input.)
struct LinearImpl : FakeQuantizedOf<LinearImpl, torch::nn::LinearImpl> {
  static constexpr const char* kKind = "octet::nn::qat::dynamic::Linear";
  static constexpr const char* kInputFakeQuant = "input_fake_quant";

  /// @throws Error also for an activation that is not dynamic: that does not forget earlier batches
  static std::shared_ptr<LinearImpl> from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig,
                                                const std::string& path);

  at::Tensor forward(torch::nn::Module& slot, const at::Tensor& input) override;
  std::vector<std::string> slot_children() const override { return {kWeightFakeQuant, kInputFakeQuant}; }
};

}  // namespace dynamic
}  // namespace qat

}  // namespace octet::nn
