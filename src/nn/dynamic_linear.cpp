#include <octet/nn/attributes.h>
#include <octet/nn/dynamic_linear.h>
#include <octet/nn/trained_parameters.h>
#include <octet/nn/transformer.h>
#include <octet/tensor/module_path.h>

#include <nn/activation_checks.h>

#include <ATen/ops/empty.h>

#include <ostream>

namespace octet::nn {
namespace quantized::dynamic {

std::shared_ptr<LinearImpl> LinearImpl::from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig,
                                                   const std::string& path) {
  auto activation = LinearPackedParams::ActivationQParams::from(qconfig, path);
  const TrainedParameters trained = trained_parameters(module, qconfig);
  auto params = LinearPackedParams::from_float(trained.weight, trained.bias, trained.observer, path + ": weight");
  return std::shared_ptr<LinearImpl>(new LinearImpl(std::move(params), activation));
}

std::shared_ptr<LinearImpl> LinearImpl::from_state(const StateDict& state, const Attributes& attributes,
                                                   const std::string& path) {
  auto params = LinearPackedParams::from_state_dict(state, "weight", "bias", path);
  return std::shared_ptr<LinearImpl>(
      new LinearImpl(std::move(params), LinearPackedParams::ActivationQParams::from(attributes, path)));
}

at::Tensor LinearImpl::apply(const at::Tensor& input, bool relu) const {
  check_float_activation(input, "the input");
  check(input.dim() > 0 && input.size(-1) == in_features(), ModulePathScope::current(), ": got an input of shape ", input.sizes(),
        ", expected [..., ", in_features(), "]");
  const at::Tensor x = input.detach().contiguous();
  std::vector<int64_t> sizes = input.sizes().vec();
  sizes.back() = out_features();
  at::Tensor out = at::empty(sizes, x.options());
  const int64_t rows = c10::multiply_integers(sizes.begin(), sizes.end() - 1);
  LinearPackedParams::Scratch own, *const shared = SharedInput::find(input);
  params_.apply(x.const_data_ptr<float>(), rows, activation_, relu, out.data_ptr<float>(), shared ? *shared : own);
  return out;
}

at::Tensor LinearImpl::forward(const at::Tensor& input) { return apply(input, /*relu=*/false); }

StateDict LinearImpl::state_dict() const {
  StateDict state;
  params_.append_to(state, "weight", "bias");
  return state;
}

Attributes LinearImpl::attributes() const {
  Attributes attributes;
  activation_.append_to(attributes);
  return attributes;
}

std::shared_ptr<torch::nn::Module> LinearImpl::clone(const std::optional<torch::Device>&) const {
  return std::shared_ptr<LinearImpl>(new LinearImpl(*this));
}

void LinearImpl::pretty_print(std::ostream& stream) const {
  stream << kind() << "(in_features=" << in_features() << ", out_features=" << out_features() << ", dtype=" << params_.dtype();
  if (info(params_.dtype()).is_quantized) stream << ", qscheme=" << params_.qscheme();
  if (params_.group_size() > 0) stream << ", group_size=" << params_.group_size();
  if (activation_.per_row) stream << ", per_row=true";
  stream << ")";
}

}  // namespace quantized::dynamic

namespace intrinsic::quantized::dynamic {

std::shared_ptr<LinearReLUImpl> LinearReLUImpl::from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig,
                                                           const std::string& path) {
  return std::shared_ptr<LinearReLUImpl>(
      new LinearReLUImpl(*nn::quantized::dynamic::LinearImpl::from_float(module, qconfig, path)));
}

std::shared_ptr<LinearReLUImpl> LinearReLUImpl::from_state(const StateDict& state, const Attributes& attributes,
                                                           const std::string& path) {
  return std::shared_ptr<LinearReLUImpl>(
      new LinearReLUImpl(*nn::quantized::dynamic::LinearImpl::from_state(state, attributes, path)));
}

std::shared_ptr<torch::nn::Module> LinearReLUImpl::clone(const std::optional<torch::Device>&) const {
  return std::shared_ptr<LinearReLUImpl>(new LinearReLUImpl(*this));
}

}  // namespace intrinsic::quantized::dynamic
}  // namespace octet::nn
