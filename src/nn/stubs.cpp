#include <octet/nn/stubs.h>

#include <ostream>

namespace octet::nn {

namespace detail {

void QuantStubImpl::pretty_print(std::ostream& stream) const { stream << "octet::nn::QuantStub()"; }
void DeQuantStubImpl::pretty_print(std::ostream& stream) const { stream << "octet::nn::DeQuantStub()"; }

}  // namespace detail

at::Tensor QuantStubImpl::forward(const at::Tensor& input) {
  if (const auto held = state(); held && held->forward_passes) held->forward_passes->begin_next();
  return Slot<detail::QuantStubImpl>::forward(input);
}

std::shared_ptr<torch::nn::Module> QuantStubImpl::clone(const std::optional<torch::Device>& device) const {
  return clone_as<QuantStubImpl>(device);
}

QuantWrapperImpl::QuantWrapperImpl(torch::nn::AnyModule wrapped) : module(std::move(wrapped)) {
  register_module("quant", quant);
  register_module("dequant", dequant);
  register_module("module", module.ptr());
}

void QuantWrapperImpl::reset() {
  quant = register_module("quant", QuantStub());
  dequant = register_module("dequant", DeQuantStub());
  module = module.clone();
  register_module("module", module.ptr());
}

at::Tensor QuantWrapperImpl::forward(const at::Tensor& input) {
  return dequant->forward(module.forward<at::Tensor>(quant->forward(input)));
}

}  // namespace octet::nn
