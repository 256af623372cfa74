#pragma once

#include <octet/nn/slot.h>

#include <torch/nn/modules/conv.h>

namespace octet::nn::intrinsic {

namespace detail {

/// The float modules of ConvAdd2d and ConvAddReLU2d: a torch::nn::Conv2d, with its options and parameters, that adds a tensor.
class ConvAdd2dImpl : public torch::nn::Conv2dImpl {
 public:
  using torch::nn::Conv2dImpl::Conv2dImpl;
  at::Tensor forward(const at::Tensor& input, const at::Tensor& residual);
};
class ConvAddReLU2dImpl : public torch::nn::Conv2dImpl {
 public:
  using torch::nn::Conv2dImpl::Conv2dImpl;
  at::Tensor forward(const at::Tensor& input, const at::Tensor& residual);
};

}  // namespace detail

/// A convolution whose result a residual connection is added to, and the same with a ReLU behind it, as one module: it is
/// quantized once, after all of that. torch.ao.nn.intrinsic.ConvAdd2d and ConvAddReLU2d (whose parameters are `0.weight` and
/// `0.bias` in Python, here `weight` and `bias`).
/// `forward(input, residual)`, where the residual has the shape of the convolution's result.
using ConvAdd2dImpl = Slot<detail::ConvAdd2dImpl>;
TORCH_MODULE(ConvAdd2d);
using ConvAddReLU2dImpl = Slot<detail::ConvAddReLU2dImpl>;
TORCH_MODULE(ConvAddReLU2d);

}  // namespace octet::nn::intrinsic
