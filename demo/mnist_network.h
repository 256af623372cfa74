// A small convolutional network for digits. An ordinary LibTorch model, in which `octet::nn` takes the place of `torch::nn`.
#pragma once

#include <octet/octet.h>

namespace demo {

namespace nn = octet::nn;

/// Three convolutions with batch norms and max pools, and a linear layer.
struct MnistNetImpl : nn::Cloneable<MnistNetImpl> {
  nn::QuantStub quant{nullptr};
  nn::DeQuantStub dequant{nullptr};
  nn::Conv2d conv1{nullptr}, conv2{nullptr}, conv3{nullptr};
  nn::BatchNorm2d bn1{nullptr}, bn2{nullptr}, bn3{nullptr};
  nn::ReLU relu1{nullptr}, relu2{nullptr}, relu3{nullptr};
  nn::Linear fc{nullptr};

  MnistNetImpl() { reset(); }
  void reset() override;

  /// @param images  [batch, 1, 28, 28]
  /// @return one score for each digit, [batch, 10]
  torch::Tensor forward(torch::Tensor images);
};
TORCH_MODULE(MnistNet);

/// What becomes one module.
inline const octet::ModulesToFuse kMnistGroups{{"conv1", "bn1", "relu1"}, {"conv2", "bn2", "relu2"}, {"conv3", "bn3", "relu3"}};

}  // namespace demo
