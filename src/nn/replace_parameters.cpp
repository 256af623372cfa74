#include <octet/nn/module_internals.h>
#include <octet/nn/replace_parameters.h>

namespace octet::nn::detail {

void replace_parameter(torch::nn::Module& module, const std::string& name, at::Tensor& member, const at::Tensor& value) {
  if (!value.defined()) return;
  auto& parameters = ModuleInternals::parameters(module);
  const at::Tensor* const old = parameters.find("weight");
  member = value.detach().set_requires_grad(old && old->defined() && old->requires_grad());
  if (at::Tensor* const registered = parameters.find(name)) {  // perhaps undefined: a bias that was not there
    *registered = member;
  } else {
    parameters.insert(name, at::Tensor(member));
  }
}

}  // namespace octet::nn::detail
