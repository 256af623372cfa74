#pragma once

#include <octet/nn/conv_add.h>
#include <octet/nn/qat.h>

/// Modules fused with a batch norm for training, and the training forms of all fused modules. torch.ao.nn.intrinsic and
/// torch.ao.nn.intrinsic.qat.
namespace octet::nn::intrinsic {

/// Fused for training by fuse_modules_qat(): a module, the batch norm after it, which becomes the slot's child `bn`, and a ReLU
/// where with_relu. prepare_qat() replaces it.
template <class Self, class FloatModule, class NormModule, bool with_relu = false,
          class Signature = nn::detail::ForwardSignatureOf<FloatModule>>
class WithBatchNormOf;

template <class Self, class FloatModule, class NormModule, bool with_relu, class... Arguments>
class WithBatchNormOf<Self, FloatModule, NormModule, with_relu, at::Tensor(Arguments...)>
    : public ImplementationOf<Self, FloatImplementation<at::Tensor(Arguments...)>> {
 public:
  /// The class of the slots that it fits.
  using Wrapped = FloatModule;
  using Norm = NormModule;

  /// @param norm  its tensors become those of the slot's child
  static std::shared_ptr<Self> fuse(const Norm& norm) {
    auto made = std::make_shared<Self>();
    auto own = std::make_shared<Norm>(norm);
    nn::detail::ModuleInternals::children(*own).clear();  // the state of the slot that it was in
    made->new_slot_children.emplace_back(kBatchNorm, std::move(own));
    return made;
  }
  static std::shared_ptr<Self> from_state(const StateDict&, const Attributes&, const std::string&) {
    return std::make_shared<Self>();
  }

  at::Tensor forward(torch::nn::Module& slot, Arguments... arguments) override {
    auto& norm = dynamic_cast<Norm&>(*slot_child(slot, kBatchNorm));
    const at::Tensor result = norm.forward(dynamic_cast<FloatModule&>(slot).forward(arguments...));
    return with_relu ? at::relu(result) : result;
  }
  std::vector<std::string> slot_children() const override { return {kBatchNorm}; }
  StateDict state_dict() const override { return StateDict(); }
  Attributes attributes() const override { return {}; }
  int64_t weight_bytes() const override { return 0; }
  void pretty_print(std::ostream& stream) const override { stream << Self::kKind << "()"; }
};

struct ConvBn1dImpl : WithBatchNormOf<ConvBn1dImpl, torch::nn::Conv1dImpl, torch::nn::BatchNorm1dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvBn1d";
};
struct ConvBn2dImpl : WithBatchNormOf<ConvBn2dImpl, torch::nn::Conv2dImpl, torch::nn::BatchNorm2dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvBn2d";
};
struct ConvBn3dImpl : WithBatchNormOf<ConvBn3dImpl, torch::nn::Conv3dImpl, torch::nn::BatchNorm3dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvBn3d";
};
struct ConvBnReLU1dImpl : WithBatchNormOf<ConvBnReLU1dImpl, torch::nn::Conv1dImpl, torch::nn::BatchNorm1dImpl, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvBnReLU1d";
};
struct ConvBnReLU2dImpl : WithBatchNormOf<ConvBnReLU2dImpl, torch::nn::Conv2dImpl, torch::nn::BatchNorm2dImpl, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvBnReLU2d";
};
struct ConvBnReLU3dImpl : WithBatchNormOf<ConvBnReLU3dImpl, torch::nn::Conv3dImpl, torch::nn::BatchNorm3dImpl, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvBnReLU3d";
};
struct LinearBn1dImpl : WithBatchNormOf<LinearBn1dImpl, torch::nn::LinearImpl, torch::nn::BatchNorm1dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::LinearBn1d";
};
struct LinearBnReLU1dImpl : WithBatchNormOf<LinearBnReLU1dImpl, torch::nn::LinearImpl, torch::nn::BatchNorm1dImpl, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::LinearBnReLU1d";
};
struct ConvTransposeBn1dImpl
    : WithBatchNormOf<ConvTransposeBn1dImpl, torch::nn::ConvTranspose1dImpl, torch::nn::BatchNorm1dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvTransposeBn1d";
};
struct ConvTransposeBn2dImpl
    : WithBatchNormOf<ConvTransposeBn2dImpl, torch::nn::ConvTranspose2dImpl, torch::nn::BatchNorm2dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvTransposeBn2d";
};
struct ConvTransposeBn3dImpl
    : WithBatchNormOf<ConvTransposeBn3dImpl, torch::nn::ConvTranspose3dImpl, torch::nn::BatchNorm3dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::ConvTransposeBn3d";
};

namespace qat {

using nn::qat::FakeQuantizedOf;

struct LinearReLUImpl : FakeQuantizedOf<LinearReLUImpl, torch::nn::LinearImpl, void, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::LinearReLU";
};
struct ConvReLU1dImpl : FakeQuantizedOf<ConvReLU1dImpl, torch::nn::Conv1dImpl, void, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvReLU1d";
};
struct ConvReLU2dImpl : FakeQuantizedOf<ConvReLU2dImpl, torch::nn::Conv2dImpl, void, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvReLU2d";
};
struct ConvReLU3dImpl : FakeQuantizedOf<ConvReLU3dImpl, torch::nn::Conv3dImpl, void, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvReLU3d";
};
struct ConvAdd2dImpl : FakeQuantizedOf<ConvAdd2dImpl, intrinsic::detail::ConvAdd2dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvAdd2d";
};
struct ConvAddReLU2dImpl : FakeQuantizedOf<ConvAddReLU2dImpl, intrinsic::detail::ConvAddReLU2dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvAddReLU2d";
};
struct ConvBn1dImpl : FakeQuantizedOf<ConvBn1dImpl, torch::nn::Conv1dImpl, torch::nn::BatchNorm1dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvBn1d";
};
struct ConvBn2dImpl : FakeQuantizedOf<ConvBn2dImpl, torch::nn::Conv2dImpl, torch::nn::BatchNorm2dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvBn2d";
};
struct ConvBn3dImpl : FakeQuantizedOf<ConvBn3dImpl, torch::nn::Conv3dImpl, torch::nn::BatchNorm3dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvBn3d";
};
struct ConvBnReLU1dImpl : FakeQuantizedOf<ConvBnReLU1dImpl, torch::nn::Conv1dImpl, torch::nn::BatchNorm1dImpl, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvBnReLU1d";
};
struct ConvBnReLU2dImpl : FakeQuantizedOf<ConvBnReLU2dImpl, torch::nn::Conv2dImpl, torch::nn::BatchNorm2dImpl, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvBnReLU2d";
};
struct ConvBnReLU3dImpl : FakeQuantizedOf<ConvBnReLU3dImpl, torch::nn::Conv3dImpl, torch::nn::BatchNorm3dImpl, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvBnReLU3d";
};
struct LinearBn1dImpl : FakeQuantizedOf<LinearBn1dImpl, torch::nn::LinearImpl, torch::nn::BatchNorm1dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::LinearBn1d";
};
struct LinearBnReLU1dImpl : FakeQuantizedOf<LinearBnReLU1dImpl, torch::nn::LinearImpl, torch::nn::BatchNorm1dImpl, true> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::LinearBnReLU1d";
};
struct ConvTransposeBn1dImpl
    : FakeQuantizedOf<ConvTransposeBn1dImpl, torch::nn::ConvTranspose1dImpl, torch::nn::BatchNorm1dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvTransposeBn1d";
};
struct ConvTransposeBn2dImpl
    : FakeQuantizedOf<ConvTransposeBn2dImpl, torch::nn::ConvTranspose2dImpl, torch::nn::BatchNorm2dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvTransposeBn2d";
};
struct ConvTransposeBn3dImpl
    : FakeQuantizedOf<ConvTransposeBn3dImpl, torch::nn::ConvTranspose3dImpl, torch::nn::BatchNorm3dImpl> {
  static constexpr const char* kKind = "octet::nn::intrinsic::qat::ConvTransposeBn3d";
};

/// For `model->apply(octet::nn::intrinsic::qat::freeze_bn_stats)`: a training module with a batch norm, which the slot computes
/// with, keeps to its running statistics from now on and no longer updates them, whatever the mode. Does nothing to others.
void freeze_bn_stats(torch::nn::Module& module);

/// The opposite: in training mode the norm takes the statistics of each batch again, and updates its running ones.
void update_bn_stats(torch::nn::Module& module);

}  // namespace qat
}  // namespace octet::nn::intrinsic
