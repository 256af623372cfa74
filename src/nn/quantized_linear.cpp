#include <octet/nn/quantized_linear.h>
#include <octet/tensor/error.h>

#include <ostream>

namespace octet::nn::quantized {
namespace {

LinearPackedParams checked(LinearPackedParams params, const std::string& path) {
  check(params.dtype() == qint8, path, ": got weights of dtype ", params.dtype(),
        ", but a statically quantized Linear has qint8 ones; float16 is for quantize_dynamic()");
  return params;
}

}  // namespace

LinearPackedParams StaticLinear::params_from_float(const at::Tensor& weight, const at::Tensor& bias, const QConfig& qconfig,
                                                   const std::string& path) {
  return checked(LinearPackedParams::from_float(weight, bias, qconfig, path + ": weight"), path);
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

Attributes StaticLinear::attributes() const {
  Attributes attributes;
  output_.append_to(attributes);
  return attributes;
}

void StaticLinear::pretty_print(std::ostream& stream) const {
  stream << kind() << "(in_features=" << in_features() << ", out_features=" << out_features() << ", " << output_
         << ", qscheme=" << params_.qscheme() << ")";
}

}  // namespace octet::nn::quantized
