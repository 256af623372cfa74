#include "models/convolution.h"

#include <torch/nn/init.h>

namespace octet::models {

nn::Conv2d convolution(int64_t in_channels, int64_t out_channels, int64_t kernel_size, int64_t stride, int64_t groups) {
  return nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, kernel_size)
                        .stride(stride)
                        .padding((kernel_size - 1) / 2)
                        .groups(groups)
                        .bias(false));
}

ConvBNReLUImpl::ConvBNReLUImpl(int64_t in_channels, int64_t out_channels, int64_t kernel_size, int64_t stride, int64_t groups)
    : in_channels_(in_channels), out_channels_(out_channels), kernel_size_(kernel_size), stride_(stride), groups_(groups) {
  reset();
}

void ConvBNReLUImpl::reset() {
  conv_ = register_module("0", convolution(in_channels_, out_channels_, kernel_size_, stride_, groups_));
  norm_ = register_module("1", nn::BatchNorm2d(out_channels_));
  relu_ = register_module("2", nn::ReLU());
}

at::Tensor ConvBNReLUImpl::forward(const at::Tensor& input) {
  return relu_->forward(norm_->forward(conv_->forward(input)));
}

void initialize_convolutions(torch::nn::Module& model) {
  for (const auto& module : model.modules(/*include_self=*/false)) {
    if (const auto* const conv = module->as<torch::nn::Conv2d>()) {
      torch::nn::init::kaiming_normal_(conv->weight, /*a=*/0, torch::kFanOut, torch::kReLU);
    }
  }
}

}  // namespace octet::models
