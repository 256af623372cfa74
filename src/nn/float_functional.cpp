#include <octet/nn/float_functional.h>

#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/relu.h>

#include <ostream>

namespace octet::nn {

namespace detail {

void FloatFunctionalImpl::pretty_print(std::ostream& stream) const { stream << "octet::nn::FloatFunctional()"; }

at::Tensor FloatFunctionalImpl::forward(const std::vector<at::Tensor>& inputs, FunctionalOp op, double argument) {
  switch (op) {
    case FunctionalOp::add:
      return at::add(inputs.at(0), inputs.at(1));
    case FunctionalOp::add_scalar:
      return at::add(inputs.at(0), argument);
    case FunctionalOp::add_relu:
      return at::relu(at::add(inputs.at(0), inputs.at(1)));
    case FunctionalOp::mul:
      return at::mul(inputs.at(0), inputs.at(1));
    case FunctionalOp::mul_scalar:
      return at::mul(inputs.at(0), argument);
    case FunctionalOp::cat:
      return at::cat(inputs, static_cast<int64_t>(argument));
    case FunctionalOp::matmul:
      return at::matmul(inputs.at(0), inputs.at(1));
  }
  fail(ModulePathScope::current(), ": no such functional operation");
}

bool FloatFunctionalImpl::is_observed(const std::vector<at::Tensor>&, FunctionalOp op, double) {
  return op != FunctionalOp::add_scalar && op != FunctionalOp::mul_scalar;
}

}  // namespace detail

at::Tensor FloatFunctionalImpl::call(const std::vector<at::Tensor>& inputs, FunctionalOp op, double argument) {
  if (const auto held = state(); held && held->forward_passes) held->forward_passes->use(*this, path());
  return forward(inputs, op, argument);
}

at::Tensor FloatFunctionalImpl::add(const at::Tensor& x, const at::Tensor& y) { return call({x, y}, FunctionalOp::add); }
at::Tensor FloatFunctionalImpl::add_scalar(const at::Tensor& x, double y) { return call({x}, FunctionalOp::add_scalar, y); }
at::Tensor FloatFunctionalImpl::add_relu(const at::Tensor& x, const at::Tensor& y) { return call({x, y}, FunctionalOp::add_relu); }
at::Tensor FloatFunctionalImpl::mul(const at::Tensor& x, const at::Tensor& y) { return call({x, y}, FunctionalOp::mul); }
at::Tensor FloatFunctionalImpl::mul_scalar(const at::Tensor& x, double y) { return call({x}, FunctionalOp::mul_scalar, y); }
at::Tensor FloatFunctionalImpl::cat(const std::vector<at::Tensor>& tensors, int64_t dim) {
  return call(tensors, FunctionalOp::cat, static_cast<double>(dim));
}
at::Tensor FloatFunctionalImpl::matmul(const at::Tensor& x, const at::Tensor& y) { return call({x, y}, FunctionalOp::matmul); }

std::shared_ptr<torch::nn::Module> FloatFunctionalImpl::clone(const std::optional<torch::Device>& device) const {
  return clone_as<FloatFunctionalImpl>(device);
}

}  // namespace octet::nn
