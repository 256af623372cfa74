#include <octet/nn/module_internals.h>
#include <octet/nn/trained_parameters.h>

namespace octet::nn {

std::shared_ptr<torch::nn::Module> slot_child(const torch::nn::Module& slot, const char* name) {
  auto* const child = detail::ModuleInternals::children(const_cast<torch::nn::Module&>(slot)).find(name);
  return child ? *child : nullptr;
}

}  // namespace octet::nn
