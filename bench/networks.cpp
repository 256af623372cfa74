#include "networks.h"

#include <torch/torch.h>

#include <type_traits>

namespace bench {
namespace {

/// Draws the weight from a normal distribution, which trained weights are closer to than to LibTorch's uniform one: of that the
/// sums of weights would be larger than Winograd's algorithm takes.
template <class Convolution>
Convolution with_normal_weight(Convolution convolution) {
  torch::nn::init::kaiming_normal_(convolution->weight, /*a=*/0, torch::kFanOut, torch::kReLU);
  return convolution;
}

/// Appends a convolution over two or three dimensions, padded so that it keeps their sizes at stride 1, and its batch norm.
template <size_t D>
void push_convolution(nn::Sequential& layers, nn::ConvOptions<D> options) {
  using Convolution = std::conditional_t<D == 2, nn::Conv2d, nn::Conv3d>;
  using BatchNorm = std::conditional_t<D == 2, nn::BatchNorm2d, nn::BatchNorm3d>;
  torch::ExpandingArray<D> padding = options.kernel_size();
  for (int64_t& size : *padding) size /= 2;
  layers->push_back(with_normal_weight(Convolution(options.padding(padding).bias(false))));
  layers->push_back(BatchNorm(options.out_channels()));
}

/// Widens the channels, convolves each by itself and narrows them again.
struct InvertedResidualImpl : nn::UnaryModule<nn::Cloneable<InvertedResidualImpl>> {
  InvertedResidualImpl(int64_t in_channels, int64_t out_channels, int64_t expand_ratio, int64_t kernel_size, int64_t stride)
      : in_channels(in_channels),
        out_channels(out_channels),
        expand_ratio(expand_ratio),
        kernel_size(kernel_size),
        stride(stride) {
    reset();
  }

  void reset() override {
    const int64_t hidden = in_channels * expand_ratio;
    nn::Sequential convolutions;
    if (expand_ratio != 1) {
      push_convolution(convolutions, nn::Conv2dOptions(in_channels, hidden, 1));
      convolutions->push_back(nn::ReLU6());
    }
    push_convolution(convolutions, nn::Conv2dOptions(hidden, hidden, kernel_size).stride(stride).groups(hidden));
    convolutions->push_back(nn::ReLU6());
    push_convolution(convolutions, nn::Conv2dOptions(hidden, out_channels, 1));
    conv = register_module("conv", convolutions);
    if (stride == 1 && in_channels == out_channels) skip_add = register_module("skip_add", nn::FloatFunctional());
  }

  at::Tensor forward(const at::Tensor& x) { return skip_add ? skip_add->add(conv->forward(x), x) : conv->forward(x); }

  int64_t in_channels, out_channels, expand_ratio, kernel_size, stride;
  nn::Sequential conv{nullptr};
  nn::FloatFunctional skip_add{nullptr};
};
TORCH_MODULE(InvertedResidual);

/// Blocks of equal width, of which the first has the stride.
struct Stage {
  int64_t expand_ratio, channels, blocks, kernel_size, stride;
};
constexpr Stage kEfficientNetLite0[] = {{1, 16, 1, 3, 1},  {6, 24, 2, 3, 2},  {6, 40, 2, 5, 2}, {6, 80, 3, 3, 2},
                                        {6, 112, 3, 5, 1}, {6, 192, 4, 5, 2}, {6, 320, 1, 3, 1}};

/// Two convolutions with a way past them.
struct Block3dImpl : nn::UnaryModule<nn::Cloneable<Block3dImpl>> {
  Block3dImpl(int64_t in_channels, int64_t channels, int64_t stride)
      : in_channels(in_channels), channels(channels), stride(stride) {
    reset();
  }

  void reset() override {
    nn::Sequential convolutions;
    push_convolution(convolutions, nn::Conv3dOptions(in_channels, channels, 3).stride(stride));
    convolutions->push_back(nn::ReLU());
    push_convolution(convolutions, nn::Conv3dOptions(channels, channels, 3));
    conv = register_module("conv", convolutions);
    if (stride != 1 || in_channels != channels) {
      nn::Sequential shortcut;
      push_convolution(shortcut, nn::Conv3dOptions(in_channels, channels, 1).stride(stride));
      downsample = register_module("downsample", shortcut);
    }
    add_relu = register_module("add_relu", nn::FloatFunctional());
  }

  at::Tensor forward(const at::Tensor& x) {
    return add_relu->add_relu(conv->forward(x), downsample ? downsample->forward(x) : x);
  }

  int64_t in_channels, channels, stride;
  nn::Sequential conv{nullptr}, downsample{nullptr};
  nn::FloatFunctional add_relu{nullptr};
};
TORCH_MODULE(Block3d);

/// The two convolutions of each level of U-Net, before and behind what is below it.
nn::Sequential two_convolutions(int64_t in_channels, int64_t channels) {
  nn::Sequential layers;
  push_convolution(layers, nn::Conv2dOptions(in_channels, channels, 3));
  layers->push_back(nn::ReLU());
  push_convolution(layers, nn::Conv2dOptions(channels, channels, 3));
  layers->push_back(nn::ReLU());
  return layers;
}

}  // namespace

void EfficientNetLite0Impl::reset() {
  nn::Sequential layers;
  int64_t channels = 32;
  push_convolution(layers, nn::Conv2dOptions(3, channels, 3).stride(2));
  layers->push_back(nn::ReLU6());
  for (const Stage& stage : kEfficientNetLite0) {
    for (int64_t i = 0; i < stage.blocks; ++i) {
      layers->push_back(
          InvertedResidual(channels, stage.channels, stage.expand_ratio, stage.kernel_size, i == 0 ? stage.stride : 1));
      channels = stage.channels;
    }
  }
  push_convolution(layers, nn::Conv2dOptions(channels, 1280, 1));
  layers->push_back(nn::ReLU6());
  quant = register_module("quant", nn::QuantStub());
  features = register_module("features", layers);
  classifier = register_module("classifier", nn::Linear(1280, 1000));
  dequant = register_module("dequant", nn::DeQuantStub());
}

at::Tensor EfficientNetLite0Impl::forward(const at::Tensor& images) {
  const at::Tensor x = features->forward(quant->forward(images));
  return dequant->forward(classifier->forward(torch::flatten(torch::adaptive_avg_pool2d(x, {1, 1}), 1)));
}

UNetLevelImpl::UNetLevelImpl(int64_t in_channels, int64_t channels, int64_t levels_below)
    : in_channels(in_channels), channels(channels), levels_below(levels_below) {
  reset();
}

void UNetLevelImpl::reset() {
  encode = register_module("encode", two_convolutions(in_channels, channels));
  if (levels_below == 0) return;
  below = register_module("below", std::make_shared<UNetLevelImpl>(channels, 2 * channels, levels_below - 1));
  const nn::ConvTranspose2d transposed(nn::ConvTranspose2dOptions(2 * channels, channels, 2).stride(2));
  up = register_module("up", with_normal_weight(transposed));
  cat = register_module("cat", nn::FloatFunctional());
  decode = register_module("decode", two_convolutions(2 * channels, channels));
}

at::Tensor UNetLevelImpl::forward(const at::Tensor& x) {
  const at::Tensor encoded = encode->forward(x);
  if (!below) return encoded;
  const at::Tensor from_below = up->forward(below->forward(torch::max_pool2d(encoded, 2)));
  return decode->forward(cat->cat({encoded, from_below}, 1));
}

void UNetImpl::reset() {
  quant = register_module("quant", nn::QuantStub());
  levels = register_module("levels", std::make_shared<UNetLevelImpl>(3, 64, 3));
  head = register_module("head", nn::Conv2d(64, 2, 1));
  dequant = register_module("dequant", nn::DeQuantStub());
}

at::Tensor UNetImpl::forward(const at::Tensor& images) {
  return dequant->forward(head->forward(levels->forward(quant->forward(images))));
}

void R3d18Impl::reset() {
  nn::Sequential layers;
  push_convolution(layers, nn::Conv3dOptions(3, 64, {3, 7, 7}).stride({1, 2, 2}));
  layers->push_back(nn::ReLU());
  for (const int64_t channels : {64, 128, 256, 512}) {
    const bool is_first = channels == 64;
    layers->push_back(Block3d(is_first ? 64 : channels / 2, channels, is_first ? 1 : 2));
    layers->push_back(Block3d(channels, channels, 1));
  }
  quant = register_module("quant", nn::QuantStub());
  features = register_module("features", layers);
  fc = register_module("fc", nn::Linear(512, 400));
  dequant = register_module("dequant", nn::DeQuantStub());
}

at::Tensor R3d18Impl::forward(const at::Tensor& videos) {
  const at::Tensor x = features->forward(quant->forward(videos));
  return dequant->forward(fc->forward(torch::flatten(torch::adaptive_avg_pool3d(x, {1, 1, 1}), 1)));
}

}  // namespace bench
