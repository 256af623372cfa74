#include "models/convolution.h"

#include <octet/models/mobilenet_v2.h>
#include <octet/nn/float_functional.h>

#include <torch/nn/init.h>

#include <algorithm>

namespace octet::models {

/// A block that widens, convolves each channel by itself and narrows:
/// torchvision.models.quantization.mobilenetv2.QuantizableInvertedResidual. It has a `skip_add` only if it adds: one that is
/// never called could not be calibrated.
class InvertedResidualImpl : public nn::UnaryModule<nn::Cloneable<InvertedResidualImpl>>, public FusibleModule {
 public:
  nn::Sequential conv{nullptr};
  nn::FloatFunctional skip_add{nullptr};

  InvertedResidualImpl(int64_t in_channels, int64_t out_channels, int64_t stride, int64_t expand_ratio)
      : in_channels_(in_channels), out_channels_(out_channels), stride_(stride), expand_ratio_(expand_ratio) {
    reset();
  }

  void reset() override {
    const int64_t hidden = in_channels_ * expand_ratio_;
    nn::Sequential layers;
    if (expand_ratio_ != 1) layers->push_back(ConvBNReLU(in_channels_, hidden, 1));
    layers->push_back(ConvBNReLU(hidden, hidden, 3, stride_, /*groups=*/hidden));
    layers->push_back(convolution(hidden, out_channels_, 1));
    layers->push_back(nn::BatchNorm2d(out_channels_));
    conv = register_module("conv", layers);
    if (stride_ == 1 && in_channels_ == out_channels_) skip_add = register_module("skip_add", nn::FloatFunctional());
  }

  at::Tensor forward(const at::Tensor& input) {
    const at::Tensor output = conv->forward(input);
    return skip_add ? skip_add->add(input, output) : output;
  }

  ModulesToFuse modules_to_fuse() const override {
    const size_t last = conv->size() - 1;
    return {{"conv." + std::to_string(last - 1), "conv." + std::to_string(last)}};
  }

 private:
  int64_t in_channels_, out_channels_, stride_, expand_ratio_;
};
TORCH_MODULE(InvertedResidual);

namespace {

/// A row of the table in the paper (Sandler et al., 2018): blocks of equal width, of which the first has the stride.
struct Stage {
  int64_t expand_ratio, channels, blocks, stride;
};
constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                             {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

/// The multiple of `divisor` next to a number of channels, but not less than nine tenths of it.
int64_t make_divisible(double channels, int64_t divisor) {
  const auto half_up = static_cast<int64_t>(channels + static_cast<double>(divisor) / 2) / divisor * divisor;
  const int64_t nearest = std::max(divisor, half_up);
  return static_cast<double>(nearest) < 0.9 * channels ? nearest + divisor : nearest;
}

}  // namespace

MobileNetV2Impl::MobileNetV2Impl(const MobileNetV2Options& options) : options(options) { reset(); }

void MobileNetV2Impl::reset() {
  const auto scaled = [&](int64_t channels, double factor) {
    return make_divisible(static_cast<double>(channels) * factor, options.round_nearest());
  };
  int64_t channels = scaled(32, options.width_mult());
  nn::Sequential layers(ConvBNReLU(3, channels, 3, /*stride=*/2));
  for (const Stage& stage : kStages) {
    const int64_t out_channels = scaled(stage.channels, options.width_mult());
    for (int64_t i = 0; i < stage.blocks; ++i) {
      layers->push_back(InvertedResidual(channels, out_channels, i == 0 ? stage.stride : 1, stage.expand_ratio));
      channels = out_channels;
    }
  }
  const int64_t last_channels = scaled(1280, std::max(1.0, options.width_mult()));
  layers->push_back(ConvBNReLU(channels, last_channels, 1));
  features = register_module("features", layers);
  nn::Linear linear(last_channels, options.num_classes());
  classifier = register_module("classifier", nn::Sequential(nn::Dropout(options.dropout()), linear));
  quant = register_module("quant", nn::QuantStub());
  dequant = register_module("dequant", nn::DeQuantStub());
  initialize_convolutions(*this);
  torch::nn::init::normal_(linear->weight, 0, 0.01);
  torch::nn::init::zeros_(linear->bias);
}

at::Tensor MobileNetV2Impl::forward(const at::Tensor& images) {
  const at::Tensor x = features->forward(quant->forward(images));
  return dequant->forward(classifier->forward(torch::flatten(torch::adaptive_avg_pool2d(x, {1, 1}), 1)));
}

}  // namespace octet::models
