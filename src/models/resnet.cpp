#include "models/convolution.h"

#include <octet/models/resnet.h>
#include <octet/nn/float_functional.h>
#include <octet/tensor/error.h>

#include <torch/nn/init.h>

#include <utility>

namespace octet::models {
namespace {

/// One block. `channels` is what torchvision calls planes.
struct BlockShape {
  int64_t in_channels, channels, stride, groups, width_per_group;
};

/// What both kinds of blocks have: a way past the convolutions, with a convolution of its own where it changes the shape.
template <class Self>
class Block : public nn::UnaryModule<nn::Cloneable<Self>>, public FusibleModule {
 public:
  nn::Sequential downsample{nullptr};

  explicit Block(const BlockShape& shape) : shape_(shape) {}

  ModulesToFuse modules_to_fuse() const final {
    ModulesToFuse all = own_modules_to_fuse();
    if (downsample) all.push_back({"downsample.0", "downsample.1"});
    return all;
  }

 protected:
  virtual ModulesToFuse own_modules_to_fuse() const = 0;

  void register_downsample(int64_t out_channels) {
    if (shape_.stride == 1 && shape_.in_channels == out_channels) return;
    downsample = this->register_module(
        "downsample",
        nn::Sequential(convolution(shape_.in_channels, out_channels, 1, shape_.stride), nn::BatchNorm2d(out_channels)));
  }

  at::Tensor shortcut(const at::Tensor& input) { return downsample ? downsample->forward(input) : input; }

  BlockShape shape_;
};

}  // namespace

/// torchvision.models.quantization.resnet.QuantizableBasicBlock.
class BasicBlockImpl : public Block<BasicBlockImpl> {
 public:
  static constexpr int64_t kExpansion = 1;
  nn::Conv2d conv1{nullptr}, conv2{nullptr};
  nn::BatchNorm2d bn1{nullptr}, bn2{nullptr};
  nn::ReLU relu{nullptr};
  nn::FloatFunctional add_relu{nullptr};

  explicit BasicBlockImpl(const BlockShape& shape) : Block(shape) { reset(); }

  void reset() override {
    const int64_t channels = shape_.channels;
    conv1 = register_module("conv1", convolution(shape_.in_channels, channels, 3, shape_.stride));
    bn1 = register_module("bn1", nn::BatchNorm2d(channels));
    relu = register_module("relu", nn::ReLU());
    conv2 = register_module("conv2", convolution(channels, channels, 3));
    bn2 = register_module("bn2", nn::BatchNorm2d(channels));
    register_downsample(channels);
    add_relu = register_module("add_relu", nn::FloatFunctional());
  }

  at::Tensor forward(const at::Tensor& input) {
    const at::Tensor inner = relu->forward(bn1->forward(conv1->forward(input)));
    return add_relu->add_relu(bn2->forward(conv2->forward(inner)), shortcut(input));
  }

  nn::BatchNorm2d last_norm() const { return bn2; }

 private:
  ModulesToFuse own_modules_to_fuse() const override { return {{"conv1", "bn1", "relu"}, {"conv2", "bn2"}}; }
};
TORCH_MODULE(BasicBlock);

/// torchvision.models.quantization.resnet.QuantizableBottleneck.
class BottleneckImpl : public Block<BottleneckImpl> {
 public:
  static constexpr int64_t kExpansion = 4;
  nn::Conv2d conv1{nullptr}, conv2{nullptr}, conv3{nullptr};
  nn::BatchNorm2d bn1{nullptr}, bn2{nullptr}, bn3{nullptr};
  nn::ReLU relu1{nullptr}, relu2{nullptr};
  nn::FloatFunctional skip_add_relu{nullptr};

  explicit BottleneckImpl(const BlockShape& shape) : Block(shape) { reset(); }

  void reset() override {
    const int64_t width = shape_.channels * shape_.width_per_group / 64 * shape_.groups;
    const int64_t out_channels = shape_.channels * kExpansion;
    conv1 = register_module("conv1", convolution(shape_.in_channels, width, 1));
    bn1 = register_module("bn1", nn::BatchNorm2d(width));
    conv2 = register_module("conv2", convolution(width, width, 3, shape_.stride, shape_.groups));
    bn2 = register_module("bn2", nn::BatchNorm2d(width));
    conv3 = register_module("conv3", convolution(width, out_channels, 1));
    bn3 = register_module("bn3", nn::BatchNorm2d(out_channels));
    register_downsample(out_channels);
    skip_add_relu = register_module("skip_add_relu", nn::FloatFunctional());
    relu1 = register_module("relu1", nn::ReLU());
    relu2 = register_module("relu2", nn::ReLU());
  }

  at::Tensor forward(const at::Tensor& input) {
    at::Tensor inner = relu1->forward(bn1->forward(conv1->forward(input)));
    inner = relu2->forward(bn2->forward(conv2->forward(inner)));
    return skip_add_relu->add_relu(bn3->forward(conv3->forward(inner)), shortcut(input));
  }

  nn::BatchNorm2d last_norm() const { return bn3; }

 private:
  ModulesToFuse own_modules_to_fuse() const override {
    return {{"conv1", "bn1", "relu1"}, {"conv2", "bn2", "relu2"}, {"conv3", "bn3"}};
  }
};
TORCH_MODULE(Bottleneck);

namespace {

/// `layer1` to `layer4`: the first block has the stride and changes the number of channels.
template <class BlockHolder>
nn::Sequential make_layer(const ResNetOptions& options, size_t index) {
  constexpr int64_t kExpansion = BlockHolder::ContainedType::kExpansion;
  const int64_t channels = int64_t{64} << index;
  BlockShape shape{.in_channels = index == 0 ? 64 : channels / 2 * kExpansion,
                   .channels = channels,
                   .stride = index == 0 ? 1 : 2,
                   .groups = options.groups(),
                   .width_per_group = options.width_per_group()};
  nn::Sequential layer;
  for (int64_t i = 0; i < options.layers()[index]; ++i) {
    layer->push_back(BlockHolder(shape));
    if (options.zero_init_residual()) {
      torch::nn::init::zeros_(layer->template at<typename BlockHolder::ContainedType>(i).last_norm()->weight);
    }
    shape.in_channels = channels * kExpansion;
    shape.stride = 1;
  }
  return layer;
}

}  // namespace

ResNetImpl::ResNetImpl(const ResNetOptions& options) : options(options) {
  check(options.block() == ResNetBlock::bottleneck || (options.groups() == 1 && options.width_per_group() == 64),
        "ResNet: groups = ", options.groups(), " and width_per_group = ", options.width_per_group(),
        ", but basic blocks have 1 and 64; use ResNetBlock::bottleneck");
  reset();
}

void ResNetImpl::reset() {
  const bool is_basic = options.block() == ResNetBlock::basic;
  const auto make = is_basic ? make_layer<BasicBlock> : make_layer<Bottleneck>;
  conv1 = register_module("conv1", convolution(3, 64, 7, 2));
  bn1 = register_module("bn1", nn::BatchNorm2d(64));
  relu = register_module("relu", nn::ReLU());
  maxpool = register_module("maxpool", nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).padding(1)));
  layer1 = register_module("layer1", make(options, 0));
  layer2 = register_module("layer2", make(options, 1));
  layer3 = register_module("layer3", make(options, 2));
  layer4 = register_module("layer4", make(options, 3));
  avgpool = register_module("avgpool", nn::AdaptiveAvgPool2d(1));
  fc = register_module("fc", nn::Linear(512 * (is_basic ? BasicBlockImpl::kExpansion : BottleneckImpl::kExpansion),
                                        options.num_classes()));
  quant = register_module("quant", nn::QuantStub());
  dequant = register_module("dequant", nn::DeQuantStub());
  initialize_convolutions(*this);
}

at::Tensor ResNetImpl::forward(const at::Tensor& images) {
  at::Tensor x = relu->forward(bn1->forward(conv1->forward(quant->forward(images))));
  x = maxpool->forward(x);
  for (auto* const layer : {&layer1, &layer2, &layer3, &layer4}) x = (*layer)->forward(x);
  return dequant->forward(fc->forward(torch::flatten(avgpool->forward(x), 1)));
}

ResNet resnet18(ResNetOptions options) { return ResNet(options.block(ResNetBlock::basic).layers({2, 2, 2, 2})); }

ResNet resnet50(ResNetOptions options) { return ResNet(options.block(ResNetBlock::bottleneck).layers({3, 4, 6, 3})); }

}  // namespace octet::models
