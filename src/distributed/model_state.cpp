#include <distributed/model_state.h>

#include <octet/nn/module_internals.h>
#include <octet/nn/slot.h>

#include <unordered_set>

namespace octet::distributed {
namespace {

using nn::detail::ModuleInternals;

class StateWalk {
 public:
  ModelState state;

  void visit(torch::nn::Module& module, const std::string& path, bool in_observer) {
    if (!seen_.insert(&module).second) return;
    auto* const observer = dynamic_cast<ObserverBase*>(&module);
    if (observer && !in_observer) state.observers.emplace_back(path, observer);
    in_observer = in_observer || observer;

    add(ModuleInternals::parameters(module), path, state.parameters);
    add(ModuleInternals::buffers(module), path, in_observer ? state.observer_buffers : state.buffers);
    for (auto& child : ModuleInternals::children(module)) visit(*child.value(), joined(path, child.key()), in_observer);
    const auto* const slot = nn::as_slot(module);
    const auto implementation = slot ? slot->implementation() : nullptr;
    if (implementation) visit(*implementation, path, in_observer);
  }

 private:
  static std::string joined(const std::string& path, const std::string& name) { return path.empty() ? name : path + "." + name; }

  void add(const torch::OrderedDict<std::string, at::Tensor>& tensors, const std::string& path, NamedTensors& list) {
    for (const auto& tensor : tensors) {
      if (!tensor.value().defined() || !seen_.insert(tensor.value().unsafeGetTensorImpl()).second) continue;
      list.emplace_back(joined(path, tensor.key()), tensor.value());
    }
  }

  std::unordered_set<const void*> seen_;
};

}  // namespace

ModelState model_state(torch::nn::Module& model) {
  StateWalk walk;
  walk.visit(model, "", false);
  return std::move(walk.state);
}

}  // namespace octet::distributed
