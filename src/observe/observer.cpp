#include <octet/observe/observer.h>

#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Type.h>

#include <algorithm>
#include <ostream>

namespace octet {

void ObserverBase::reset_min_max_vals() { fail(name(), " keeps no minimum and maximum that could be reset"); }

std::string ObserverBase::extra_repr() const { return ""; }

std::shared_ptr<torch::nn::Module> ObserverBase::clone(const std::optional<torch::Device>& device) const {
  // A clone made while inferring must still be able to record afterwards, which tensors born in inference mode are not.
  const c10::InferenceMode normal_mode(false);
  auto copy = make_fresh();
  copy->copy_state(*this, device);
  return copy;
}

void ObserverBase::clone_(Module& other, const std::optional<torch::Device>& device) {
  copy_state(dynamic_cast<const ObserverBase&>(other), device);
}

void ObserverBase::copy_state(const ObserverBase& other, const std::optional<torch::Device>& device) {
  const at::NoGradGuard no_grad;
  if (device) to(*device);
  const auto theirs = other.named_buffers();
  for (auto& buffer : named_buffers()) {
    const at::Tensor& source = theirs[buffer.key()];
    buffer.value().resize_(source.sizes()).copy_(source);
  }
  copy_unregistered_state(other);
  train(other.is_training());
}

void ObserverBase::to(torch::Device device, torch::Dtype /*dtype*/, bool non_blocking) { to(device, non_blocking); }

void ObserverBase::to(torch::Dtype /*dtype*/, bool /*non_blocking*/) {}

void ObserverBase::pretty_print(std::ostream& stream) const { stream << name() << '(' << extra_repr() << ')'; }

std::shared_ptr<ObserverBase> ObserverFactory::operator()() const {
  check(prototype_ != nullptr, "an empty ObserverFactory makes no observer; test it as a bool before calling it");
  return std::static_pointer_cast<ObserverBase>(prototype_->clone());
}

std::string ObserverFactory::name() const { return prototype_ ? prototype_->name() : "Identity"; }

std::string ObserverFactory::describe() const { return prototype_ ? prototype_->describe() : "Identity"; }

const QuantizationTarget& ObserverFactory::target() const {
  static constexpr QuantizationTarget kNotQuantized{.dtype = float32, .quant_min = 0, .quant_max = 0};
  return prototype_ ? prototype_->target() : kNotQuantized;
}

std::ostream& operator<<(std::ostream& stream, const ObserverFactory& factory) { return stream << factory.describe(); }

std::string detail::unqualified_name(std::type_index type) {
  std::string name = c10::demangle(type.name());
  name.resize(std::min(name.size(), name.find('<')));
  return name.substr(name.rfind(':') + 1);
}

std::string detail::describe_call(const std::string& name, const Arguments& arguments, const Arguments& defaults) {
  std::string text = name + '(';
  for (const auto& argument : arguments) {
    if (std::find(defaults.begin(), defaults.end(), argument) != defaults.end()) continue;
    if (text.back() != '(') text += ", ";
    text += argument.first + '=' + argument.second;
  }
  return text + ')';
}

}  // namespace octet
