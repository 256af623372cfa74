#include "mnist_network.h"

#include "progress_bar.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace demo {
namespace {

constexpr int64_t kEpochs = 8, kBatch = 64;
constexpr double kHighestRate = 5e-3;
constexpr uint64_t kSeed = 0;

/// Rises over the first fifth of the training, then falls along a cosine.
double learning_rate(double progress) {
  return kHighestRate * std::min(1.0, 5 * progress) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

/// The images moved by up to two pixels, all alike: more to learn from than there is.
torch::Tensor shifted(const torch::Tensor& images) {
  const torch::Tensor offsets = torch::randint(0, 5, {2});
  const auto x = offsets[0].item<int64_t>(), y = offsets[1].item<int64_t>();
  return torch::constant_pad_nd(images, {2, 2, 2, 2}).slice(2, y, y + 28).slice(3, x, x + 28);
}

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

MnistNet train_mnist(const Digits& digits) {
  torch::manual_seed(kSeed);
  MnistNet net;
  torch::optim::Adam optimizer(net->parameters());
  const int64_t batches = digits.labels.numel() / kBatch, steps = kEpochs * batches;
  ProgressBar bar(fmt::format("training, {} epochs", kEpochs), steps);
  torch::Tensor order;  // of the images in this epoch
  for (int64_t step = 0; step < steps; ++step) {
    if (step % batches == 0) order = torch::randperm(digits.labels.numel());
    const torch::Tensor batch = order.slice(0, step % batches * kBatch, (step % batches + 1) * kBatch);
    optimizer.param_groups()[0].options().set_lr(learning_rate(static_cast<double>(step) / static_cast<double>(steps)));
    optimizer.zero_grad();
    const torch::Tensor logits = net->forward(shifted(digits.images.index_select(0, batch)));
    torch::nn::functional::cross_entropy(logits, digits.labels.index_select(0, batch)).backward();
    optimizer.step();
    bar.advance();
  }
  net->eval();
  return net;
}

}  // namespace demo
