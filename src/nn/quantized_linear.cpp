#include <octet/kernels/elementwise.h>
#include <octet/nn/attributes.h>
#include <octet/nn/quantized_linear.h>
#include <octet/tensor/error.h>
#include <octet/tensor/parallel.h>

#include <ATen/ops/leaky_relu.h>

#include <ostream>

namespace octet::nn::quantized {
namespace {

LinearPackedParams checked(LinearPackedParams params, const std::string& path) {
  check(params.dtype() == qint8, path, ": got weights of dtype ", params.dtype(),
        ", but a statically quantized Linear has qint8 ones; float16 and quint4x2 are for quantize_dynamic()");
  return params;
}

}  // namespace

LinearPackedParams StaticLinear::params_from_float(const at::Tensor& weight, const at::Tensor& bias,
                                                   const WeightObserver& observer, const std::string& path) {
  return checked(LinearPackedParams::from_float(weight, bias, observer, path + ": weight"), path);
}

LinearPackedParams StaticLinear::params_from_state(const StateDict& state, const std::string& path) {
  return checked(LinearPackedParams::from_state_dict(state, "weight", "bias", path), path);
}

StateDict StaticLinear::state_dict() const {
  StateDict state;
  params_.append_to(state, "weight", "bias");
  output_.append_to(state);
  return state;
}

Attributes StaticLinear::attributes() const { return output_.attributes(); }

void StaticLinear::pretty_print(std::ostream& stream) const {
  stream << kind() << "(in_features=" << in_features() << ", out_features=" << out_features() << ", " << output_
         << ", qscheme=" << params_.qscheme() << ")";
}

}  // namespace octet::nn::quantized

namespace octet::nn::intrinsic::quantized {

std::shared_ptr<LinearLeakyReLUImpl> LinearLeakyReLUImpl::from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig,
                                                                     const std::string& path) {
  const SlotBase* const slot = as_slot(module);
  const auto fused = slot ? std::dynamic_pointer_cast<intrinsic::LinearLeakyReLUImpl>(slot->implementation()) : nullptr;
  check(fused != nullptr, path, ": got a Linear that no LeakyReLU was fused into; fuse_modules() does that");
  return std::make_shared<LinearLeakyReLUImpl>(params_from_float(module.weight, module.bias, qconfig, path),
                                               OutputQParams::from(module, path), fused->negative_slope());
}

std::shared_ptr<LinearLeakyReLUImpl> LinearLeakyReLUImpl::from_state(const StateDict& state, const Attributes& attributes,
                                                                     const std::string& path) {
  return std::make_shared<LinearLeakyReLUImpl>(params_from_state(state, path), OutputQParams::from(state, attributes, path),
                                               attribute<double>(attributes, "negative_slope", path));
}

at::Tensor LinearLeakyReLUImpl::forward(const at::Tensor& input) {
  return quantize_activation(at::leaky_relu(params_.apply_to_float(input), negative_slope_), output_);
}

Attributes LinearLeakyReLUImpl::attributes() const {
  Attributes attributes = StaticLinear::attributes();
  attributes["negative_slope"] = negative_slope_;
  return attributes;
}

std::shared_ptr<LinearTanhImpl> LinearTanhImpl::from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig,
                                                           const std::string& path) {
  return std::make_shared<LinearTanhImpl>(params_from_float(module.weight, module.bias, qconfig, path),
                                          OutputQParams::from(module, path));
}

std::shared_ptr<LinearTanhImpl> LinearTanhImpl::from_state(const StateDict& state, const Attributes& attributes,
                                                           const std::string& path) {
  return std::make_shared<LinearTanhImpl>(params_from_state(state, path), OutputQParams::from(state, attributes, path));
}

at::Tensor LinearTanhImpl::forward(const at::Tensor& input) {
  const at::Tensor sums = params_.apply_to_float(input);
  // The kernel's, and not ATen's, which differs between processors.
  kernels::tanh(sums.const_data_ptr<float>(), sums.numel(), sums.data_ptr<float>(), parallel_for);
  return quantize_activation(sums, output_);
}

}  // namespace octet::nn::intrinsic::quantized
