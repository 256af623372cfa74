#include <octet/nn/conv_add.h>

#include <ATen/ops/relu.h>

namespace octet::nn::intrinsic::detail {

at::Tensor ConvAdd2dImpl::forward(const at::Tensor& input, const at::Tensor& residual) {
  return torch::nn::Conv2dImpl::forward(input) + residual;
}

at::Tensor ConvAddReLU2dImpl::forward(const at::Tensor& input, const at::Tensor& residual) {
  return at::relu(torch::nn::Conv2dImpl::forward(input) + residual);
}

}  // namespace octet::nn::intrinsic::detail
