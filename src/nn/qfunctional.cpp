#include <octet/nn/qfunctional.h>
#include <octet/tensor/error.h>
#include <octet/tensor/functional.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/quantized_tensor.h>

#include <ostream>

namespace octet::nn::quantized {
namespace {

at::Tensor compute(const std::vector<at::Tensor>& inputs, FunctionalOp op, double argument, const OutputQParams& output) {
  switch (op) {
    case FunctionalOp::add:
      return quantized_add(inputs.at(0), inputs.at(1), output.scale, output.zero_point);
    case FunctionalOp::add_relu:
      return quantized_add(inputs.at(0), inputs.at(1), output.scale, output.zero_point, /*relu=*/true);
    case FunctionalOp::mul:
      return quantized_mul(inputs.at(0), inputs.at(1), output.scale, output.zero_point);
    case FunctionalOp::cat:
      return quantized_cat(inputs, static_cast<int64_t>(argument), output.scale, output.zero_point);
    case FunctionalOp::matmul:
      return quantized_matmul(inputs.at(0), inputs.at(1), output.scale, output.zero_point);
    default:
      fail(ModulePathScope::current(), ": no such functional operation");
  }
}

}  // namespace

std::shared_ptr<QFunctionalImpl> QFunctionalImpl::from_float(const nn::detail::FloatFunctionalImpl& module, const QConfig&,
                                                             const std::string& path) {
  const SlotBase* const slot = as_slot(module);
  const auto observer = slot ? slot->activation_post_process() : nullptr;
  const auto passes = slot ? slot->forward_passes() : nullptr;
  const bool only_scalars = observer && !observer->is_calibrated() && passes && passes->has_used(module);
  return std::make_shared<QFunctionalImpl>(only_scalars ? std::nullopt : std::optional(OutputQParams::from(module, path)));
}

std::shared_ptr<QFunctionalImpl> QFunctionalImpl::from_state(const StateDict& state, const Attributes& attributes,
                                                             const std::string& path) {
  if (attributes.empty()) return std::make_shared<QFunctionalImpl>(std::nullopt);
  return std::make_shared<QFunctionalImpl>(OutputQParams::from(state, attributes, path));
}

at::Tensor QFunctionalImpl::forward(const std::vector<at::Tensor>& inputs, FunctionalOp op, double argument) {
  const std::string_view path = ModulePathScope::current();
  check(!inputs.empty(), path, ": got no tensors");
  for (const at::Tensor& input : inputs) check_quantized_activation(input, "an argument");
  if (op == FunctionalOp::add_scalar) return quantized_add_scalar(inputs[0], argument);
  if (op == FunctionalOp::mul_scalar) return quantized_mul_scalar(inputs[0], argument);
  check(output_.has_value(), path, ": calibration saw it with scalars only, so there is no scale for a result of two tensors; ",
        "calibrate with data that reaches this operation");
  check(quantizer(inputs[0]).dtype == output_->dtype, path, ": got tensors of ", quantizer(inputs[0]).dtype,
        ", but its result was calibrated for ", output_->dtype, "; use one activation dtype in the whole model");
  return clamp_to_range(compute(inputs, op, argument, *output_), *output_);
}

StateDict QFunctionalImpl::state_dict() const { return output_ ? output_->state_dict() : StateDict(); }

Attributes QFunctionalImpl::attributes() const { return output_ ? output_->attributes() : Attributes(); }

void QFunctionalImpl::pretty_print(std::ostream& stream) const {
  stream << kKind << "(";
  if (output_) stream << *output_;
  stream << ")";
}

}  // namespace octet::nn::quantized
