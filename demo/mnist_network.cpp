#include "mnist_network.h"

#include <torch/torch.h>

namespace demo {
namespace {

nn::Conv2d convolution(int64_t in_channels, int64_t out_channels) {
  return nn::Conv2d(torch::nn::Conv2dOptions(in_channels, out_channels, 3).padding(1).bias(false));
}

}  // namespace

void MnistNetImpl::reset() {
  quant = register_module("quant", nn::QuantStub());
  conv1 = register_module("conv1", convolution(1, 32));
  bn1 = register_module("bn1", nn::BatchNorm2d(32));
  relu1 = register_module("relu1", nn::ReLU());
  conv2 = register_module("conv2", convolution(32, 64));
  bn2 = register_module("bn2", nn::BatchNorm2d(64));
  relu2 = register_module("relu2", nn::ReLU());
  conv3 = register_module("conv3", convolution(64, 64));
  bn3 = register_module("bn3", nn::BatchNorm2d(64));
  relu3 = register_module("relu3", nn::ReLU());
  fc = register_module("fc", nn::Linear(64 * 3 * 3, 10));
  dequant = register_module("dequant", nn::DeQuantStub());
}

torch::Tensor MnistNetImpl::forward(torch::Tensor images) {
  torch::Tensor x = quant->forward(images);
  x = torch::max_pool2d(relu1->forward(bn1->forward(conv1->forward(x))), 2);
  x = torch::max_pool2d(relu2->forward(bn2->forward(conv2->forward(x))), 2);
  x = torch::max_pool2d(relu3->forward(bn3->forward(conv3->forward(x))), 2);
  return dequant->forward(fc->forward(torch::flatten(x, 1)));
}

}  // namespace demo
