#include <octet/nn/intrinsic.h>

#include <ATen/ops/relu.h>

#include <ostream>

namespace octet::nn::intrinsic::detail {

LinearReLUImpl::LinearReLUImpl(torch::nn::Linear linear) : linear_(std::move(linear)) {
  check(!linear_.is_empty(), "LinearReLU: got an empty Linear");
  register_module("0", linear_);
  relu_ = register_module("1", torch::nn::ReLU());
}

void LinearReLUImpl::reset() {
  linear_ = register_module("0", torch::nn::Linear(linear_->options));
  relu_ = register_module("1", torch::nn::ReLU());
}

void LinearReLUImpl::pretty_print(std::ostream& stream) const { stream << "octet::nn::intrinsic::LinearReLU()"; }

at::Tensor LinearReLUImpl::forward(const at::Tensor& input) { return at::relu(linear_(input)); }

const torch::nn::LinearImpl& LinearReLUImpl::linear() const { return *linear_; }

void LinearReLUImpl::release_modules() {
  unregister_module("0");
  unregister_module("1");
  linear_ = nullptr;
  relu_ = nullptr;
}

}  // namespace octet::nn::intrinsic::detail
