#pragma once

#include <octet/models/fusible_module.h>
#include <octet/nn/modules.h>
#include <octet/nn/stubs.h>

#include <torch/arg.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <cstdint>

namespace octet::models {

/// What a ResNet is made of.
enum class ResNetBlock : uint8_t {
  basic,       ///< two 3x3 convolutions
  bottleneck,  ///< 1x1, 3x3 and 1x1, of which the last has four times the channels
};

/// Those of ResNet-18 by default.
class ResNetOptions {
 public:
  TORCH_ARG(ResNetBlock, block) = ResNetBlock::basic;
  /// How many blocks are in `layer1` to `layer4`.
  using Layers = std::array<int64_t, 4>;
  TORCH_ARG(Layers, layers) = {2, 2, 2, 2};
  TORCH_ARG(int64_t, num_classes) = 1000;
  /// Whether the last batch norm of each block starts with weights of zero, so that the block starts as the identity.
  TORCH_ARG(bool, zero_init_residual) = false;
  /// Of the 3x3 convolutions of bottlenecks: 32 groups of 8 make a ResNeXt 32x8d. Basic blocks have 1 group of 64.
  TORCH_ARG(int64_t, groups) = 1;
  TORCH_ARG(int64_t, width_per_group) = 64;
};

/// ResNet, ready to be quantized: torchvision.models.quantization.QuantizableResNet, with its state-dict names and its
/// initialization.
class ResNetImpl : public nn::Cloneable<ResNetImpl>, public FusibleModule {
 public:
  /// @throws Error for basic blocks with other groups or another width than 1 and 64
  explicit ResNetImpl(const ResNetOptions& options = {});

  void reset() override;

  /// @param images  [batch, 3, height, width]
  /// @return one score for each class, [batch, num_classes]
  at::Tensor forward(const at::Tensor& images);

  /// Fuses all convolutions with the batch norms and ReLUs behind them, in place. @throws Error as models::fuse_model()
  Report fuse_model() { return models::fuse_model(*this); }
  ModulesToFuse modules_to_fuse() const override { return {{"conv1", "bn1", "relu"}}; }

  ResNetOptions options;
  nn::Conv2d conv1{nullptr};
  nn::BatchNorm2d bn1{nullptr};
  nn::ReLU relu{nullptr};
  nn::MaxPool2d maxpool{nullptr};
  nn::Sequential layer1{nullptr}, layer2{nullptr}, layer3{nullptr}, layer4{nullptr};
  nn::AdaptiveAvgPool2d avgpool{nullptr};
  nn::Linear fc{nullptr};
  nn::QuantStub quant{nullptr};
  nn::DeQuantStub dequant{nullptr};
};
TORCH_MODULE(ResNet);

/// @param options  all but `block` and `layers`, which are set here
ResNet resnet18(ResNetOptions options = {});
ResNet resnet50(ResNetOptions options = {});

}  // namespace octet::models
