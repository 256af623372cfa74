// Networks beyond those of octet::models, written as users write theirs for static quantization.
#pragma once

#include <octet/octet.h>

#include <torch/nn/cloneable.h>

#include <cstdint>
#include <memory>

namespace bench {

namespace nn = octet::nn;

/// EfficientNet-Lite0 (Tan and Le, 2019, without its squeeze-and-excitation and with ReLU6), padded alike on both sides.
struct EfficientNetLite0Impl : nn::Cloneable<EfficientNetLite0Impl> {
  EfficientNetLite0Impl() { reset(); }
  void reset() override;
  at::Tensor forward(const at::Tensor& images);  ///< [batch, 3, height, width] to [batch, 1000]

  nn::QuantStub quant{nullptr};
  nn::Sequential features{nullptr};
  nn::Linear classifier{nullptr};
  nn::DeQuantStub dequant{nullptr};
};
TORCH_MODULE(EfficientNetLite0);

/// A level of U-Net with all below it: convolutions; what is below, at half the size; convolutions of both.
struct UNetLevelImpl : nn::Cloneable<UNetLevelImpl> {
  /// @param levels_below  each with twice the channels of the one above
  UNetLevelImpl(int64_t in_channels, int64_t channels, int64_t levels_below);
  void reset() override;
  at::Tensor forward(const at::Tensor& x);

  int64_t in_channels, channels, levels_below;
  nn::Sequential encode{nullptr}, decode{nullptr};
  std::shared_ptr<UNetLevelImpl> below;
  nn::ConvTranspose2d up{nullptr};
  nn::FloatFunctional cat{nullptr};
};

/// U-Net (Ronneberger et al., 2015) of 64 to 512 channels, padded so that the result has the size of the image.
struct UNetImpl : nn::Cloneable<UNetImpl> {
  UNetImpl() { reset(); }
  void reset() override;
  at::Tensor forward(const at::Tensor& images);  ///< [batch, 3, height, width], multiples of 8, to [batch, 2, height, width]

  nn::QuantStub quant{nullptr};
  std::shared_ptr<UNetLevelImpl> levels;
  nn::Conv2d head{nullptr};
  nn::DeQuantStub dequant{nullptr};
};
TORCH_MODULE(UNet);

/// ResNet-18 over time and space: torchvision.models.video.r3d_18 (Tran et al., 2018).
struct R3d18Impl : nn::Cloneable<R3d18Impl> {
  R3d18Impl() { reset(); }
  void reset() override;
  at::Tensor forward(const at::Tensor& videos);  ///< [batch, 3, frames, height, width] to [batch, 400]

  nn::QuantStub quant{nullptr};
  nn::Sequential features{nullptr};
  nn::Linear fc{nullptr};
  nn::DeQuantStub dequant{nullptr};
};
TORCH_MODULE(R3d18);

}  // namespace bench
