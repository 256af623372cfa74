#include <octet/nn/quantize.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <ostream>

namespace octet::nn::quantized {

std::shared_ptr<QuantizeImpl> QuantizeImpl::from_float(const nn::detail::QuantStubImpl& module, const QConfig&,
                                                       const std::string& path) {
  return std::make_shared<QuantizeImpl>(OutputQParams::from(module, path));
}

std::shared_ptr<QuantizeImpl> QuantizeImpl::from_state(const StateDict& state, const Attributes& attributes,
                                                       const std::string& path) {
  return std::make_shared<QuantizeImpl>(OutputQParams::from(state, attributes, path));
}

at::Tensor QuantizeImpl::forward(const at::Tensor& input) {
  const std::string_view path = ModulePathScope::current();
  check(input.defined(), path, ": got an undefined tensor for the input");
  check(!is_quantized(input), path, ": got a tensor that is quantized already; one QuantStub is enough, so take this one out");
  check(input.is_cpu() && input.scalar_type() == at::kFloat, path, ": got a ", input.scalar_type(), " tensor on ", input.device(),
        ", expected a float32 tensor on the CPU; convert it with to(torch::kCPU, torch::kFloat)");
  return quantize_activation(input, output_);
}

StateDict QuantizeImpl::state_dict() const { return output_.state_dict(); }

Attributes QuantizeImpl::attributes() const { return output_.attributes(); }

void QuantizeImpl::pretty_print(std::ostream& stream) const { stream << kKind << "(" << output_ << ")"; }

std::shared_ptr<DeQuantizeImpl> DeQuantizeImpl::from_float(const nn::detail::DeQuantStubImpl&, const QConfig&,
                                                           const std::string&) {
  return std::make_shared<DeQuantizeImpl>();
}

std::shared_ptr<DeQuantizeImpl> DeQuantizeImpl::from_state(const StateDict&, const Attributes&, const std::string&) {
  return std::make_shared<DeQuantizeImpl>();
}

at::Tensor DeQuantizeImpl::forward(const at::Tensor& input) {
  check(input.defined(), ModulePathScope::current(), ": got an undefined tensor for the input");
  return is_quantized(input) ? octet::dequantize(input) : input;
}

}  // namespace octet::nn::quantized
