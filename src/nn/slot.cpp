#include <octet/nn/slot.h>
#include <octet/observe/qconfig_mapping.h>

#include <algorithm>
#include <atomic>
#include <ostream>
#include <utility>

namespace octet::nn {
namespace {

using Internals = detail::ModuleInternals;

int64_t next_hook_id() {
  static std::atomic<int64_t> id{0};
  return id++;
}

/// The child that has the slot's state, or null. Every call of a quantized module comes here: comparing types is faster than to look
/// for its name, of which it is the only one, as a slot has a few children at most.
const std::shared_ptr<torch::nn::Module>* find_state_child(const torch::nn::Module& module) {
  for (const auto& child : Internals::children(const_cast<torch::nn::Module&>(module))) {
    const torch::nn::Module& it = *child.value();
    if (typeid(it) == typeid(SlotState)) return &child.value();
  }
  return nullptr;
}

std::shared_ptr<SlotState> find_state(const torch::nn::Module& module) {
  const auto* const child = find_state_child(module);
  return child ? std::static_pointer_cast<SlotState>(*child) : nullptr;
}

}  // namespace

namespace detail {

void refuse_packed_input(const ImplementationBase& implementation) {
  fail(
      ModulePathScope::current(), ": got a packed sequence, which ", implementation.kind(),
      " does not take; call forward with padded tensors (pad_packed_sequence), or keep this module in float with a null qconfig");
}

void move_to(torch::nn::Module& module, std::optional<torch::Device> device, std::optional<torch::Dtype> dtype,
             bool non_blocking) {
  for (auto& child : Internals::children(module)) {
    if (device && dtype) {
      child.value()->to(*device, *dtype, non_blocking);
    } else if (dtype) {
      child.value()->to(*dtype, non_blocking);
    } else {
      child.value()->to(*device, non_blocking);
    }
  }
  const auto move = [&](at::Tensor& tensor) {
    if (!tensor.defined()) return;
    const bool converts = dtype && (tensor.is_floating_point() || tensor.is_complex());
    tensor.set_data(tensor.to(device.value_or(tensor.device()), converts ? *dtype : tensor.scalar_type(), non_blocking));
  };
  for (auto& parameter : Internals::parameters(module)) move(parameter.value());
  for (auto& buffer : Internals::buffers(module)) move(buffer.value());
}

at::Tensor deep_copy(const at::Tensor& tensor, const std::optional<torch::Device>& device) {
  if (!tensor.defined()) return tensor;
  const at::Tensor copy = tensor.detach().to(device.value_or(tensor.device()), tensor.scalar_type(), false, /*copy=*/true);
  return copy.set_requires_grad(tensor.requires_grad());
}

void deep_copy_registered(const torch::nn::Module& source, torch::nn::Module& copy, const std::optional<torch::Device>& device) {
  auto& from = const_cast<torch::nn::Module&>(source);
  const auto copy_tensors = [&](auto& originals, auto& copies) {
    for (auto& original : originals) {
      at::Tensor data = deep_copy(original.value(), device);
      if (at::Tensor* existing = copies.find(original.key()); existing && existing->defined()) {
        existing->set_data(data);
        existing->set_requires_grad(data.requires_grad());
      } else if (!existing) {
        copies.insert(original.key(), std::move(data));
      }
    }
  };
  copy_tensors(Internals::parameters(from), Internals::parameters(copy));
  copy_tensors(Internals::buffers(from), Internals::buffers(copy));
  auto& children = Internals::children(copy);
  for (auto& child : Internals::children(from)) {
    if (auto* existing = children.find(child.key())) {
      Internals::clone_into(**existing, *child.value(), device);
    } else {
      children.insert(child.key(), child.value()->clone(device));
    }
  }
}

}  // namespace detail

void ForwardPasses::use(const torch::nn::Module& module, const std::string& path) {
  int64_t& last = last_use_[&module];
  check(
      current_ == 0 || last != current_, path,
      ": used twice in one forward pass, but an instance has the scale and zero point of one operation; give each operation an ",
      "instance of its own");
  last = current_;
}

bool SlotState::empty() const { return !implementation && hooks.size() == 0 && !qconfig && !forward_passes; }

std::shared_ptr<torch::nn::Module> SlotState::clone(const std::optional<torch::Device>& device) const {
  auto copy = std::make_shared<SlotState>(*this);
  if (implementation) copy->implementation = std::dynamic_pointer_cast<ImplementationBase>(implementation->clone(device));
  return copy;
}

void SlotState::train(bool on) {
  torch::nn::Module::train(on);
  if (implementation) implementation->train(on);
}

void SlotState::to(torch::Device device, torch::Dtype dtype, bool non_blocking) {
  if (implementation) implementation->to(device, dtype, non_blocking);
}

void SlotState::to(torch::Dtype dtype, bool non_blocking) {
  if (implementation) implementation->to(dtype, non_blocking);
}

void SlotState::to(torch::Device device, bool non_blocking) {
  if (implementation) implementation->to(device, non_blocking);
}

void SlotState::pretty_print(std::ostream& stream) const {
  if (implementation) {
    implementation->pretty_print(stream);
  } else {
    stream << "float module";
  }
  if (hooks.size() > 0) stream << ", hooks=" << hooks.size();
  if (qconfig) stream << ", qconfig=" << *qconfig;
}

void SlotState::save(torch::serialize::OutputArchive& /*archive*/) const {
  fail("slot ", path, ": torch::save does not know ", implementation->kind(), "; write the model with octet::save");
}

void HookHandle::remove() {
  const auto module = slot_.lock();
  if (!module) return;
  const auto state = find_state(*module);
  if (!state) return;
  state->hooks.forward_pre.erase(id_);
  state->hooks.forward.erase(id_);
  if (state->empty()) Internals::children(*module).erase(SlotState::kName);
}

std::string SlotBase::type_name() const { return ModuleType(float_type()).name(); }

std::shared_ptr<SlotState> SlotBase::state() const { return find_state(module()); }

SlotState& SlotBase::make_state() {
  if (const auto existing = state()) return *existing;
  const auto made = module().register_module(SlotState::kName, std::make_shared<SlotState>());
  made->path = path_;
  return *made;
}

const std::string& SlotBase::path() const {
  if (!path_.empty()) return path_;
  const auto* const existing = find_state_child(module());  // of a clone, which has lost path_
  return existing ? static_cast<const SlotState&>(**existing).path : path_;
}

void SlotBase::set_path(std::string path) {
  path_ = std::move(path);
  if (const auto existing = state()) existing->path = path_;
}

void SlotBase::drop_empty_state() {
  if (const auto existing = state(); existing && existing->empty()) {
    Internals::children(module()).erase(SlotState::kName);
  }
}

std::shared_ptr<ImplementationBase> SlotBase::implementation() const {
  const auto existing = state();
  return existing ? existing->implementation : nullptr;
}

void SlotBase::check_implementation(const ImplementationBase& implementation) const {
  check(accepts(implementation), "slot ", path(), " of ", type_name(), ": ", implementation.kind(),
        " does not answer the calls of this slot; it must derive from octet::nn::Implementation with the signature of ",
        type_name(), "'s forward");
  check(!implementation.keeps_float_module() || !has_released_float_module(), "slot ", path(), " of ", type_name(), ": ",
        implementation.kind(), " computes with the float module, but its parameters are gone since ",
        this->implementation() ? this->implementation()->kind() : "", " took its place; begin with the float model again");
  const auto& brought = implementation.new_slot_children;
  for (const std::string& name : implementation.slot_children()) {
    check(Internals::children(const_cast<torch::nn::Module&>(module())).contains(name) ||
              std::any_of(brought.begin(), brought.end(), [&](const auto& child) { return child.first == name; }),
          "slot ", path(), " of ", type_name(), ": ", implementation.kind(), " needs the child \"", name,
          "\", which is not there; bring the model to where it was with fuse_modules_qat() and prepare_qat() first");
  }
}

void SlotBase::set_implementation(std::shared_ptr<ImplementationBase> implementation) {
  check(implementation != nullptr, "slot ", path(), ": got no implementation to put into it");
  check_implementation(*implementation);
  implementation->train(module().is_training());
  const bool releases = !implementation->keeps_float_module();
  auto& children = Internals::children(module());
  const auto kept = implementation->slot_children();
  if (const auto former = this->implementation()) {
    for (const std::string& name : former->slot_children()) {
      if (std::find(kept.begin(), kept.end(), name) == kept.end() && children.contains(name)) children.erase(name);
    }
  }
  for (auto& [name, child] : std::exchange(implementation->new_slot_children, {})) {
    if (children.contains(name)) children.erase(name);
    module().register_module(name, std::move(child))->train(module().is_training());
  }
  make_state().implementation = std::move(implementation);
  if (releases) release_float_parameters();
}

bool SlotBase::has_released_float_module() const {
  const auto current = implementation();
  return current && !current->keeps_float_module();
}

std::type_index SlotBase::current_type() const {
  const auto current = implementation();
  return current && current->keeps_float_module() ? std::type_index(typeid(*current)) : float_type();
}

HookHandle SlotBase::register_forward_pre_hook(ForwardPreHook hook) {
  check(hook != nullptr, "slot ", path(), ": got an empty forward pre-hook");
  const int64_t id = next_hook_id();
  make_state().hooks.forward_pre.emplace(id, std::make_shared<const ForwardPreHook>(std::move(hook)));
  return {module().shared_from_this(), id};
}

HookHandle SlotBase::register_forward_hook(ForwardHook hook) {
  check(hook != nullptr, "slot ", path(), ": got an empty forward hook");
  const int64_t id = next_hook_id();
  make_state().hooks.forward.emplace(id, std::make_shared<const ForwardHook>(std::move(hook)));
  return {module().shared_from_this(), id};
}

SlotHooks SlotBase::hooks() const {
  const auto existing = state();
  return existing ? existing->hooks : SlotHooks();
}

void SlotBase::set_hooks(SlotHooks hooks) {
  make_state().hooks = std::move(hooks);
  drop_empty_state();
}

void SlotBase::set_activation_post_process(std::shared_ptr<ObserverBase> observer) {
  auto& children = Internals::children(module());
  if (children.contains(kActivationPostProcess)) children.erase(kActivationPostProcess);
  if (observer) module().register_module(kActivationPostProcess, std::move(observer));
}

std::shared_ptr<ObserverBase> SlotBase::activation_post_process() const {
  auto* const child = Internals::children(const_cast<torch::nn::Module&>(module())).find(kActivationPostProcess);
  return child ? std::dynamic_pointer_cast<ObserverBase>(*child) : nullptr;
}

std::optional<QConfig> SlotBase::qconfig() const {
  const auto existing = state();
  return existing ? existing->qconfig : std::nullopt;
}

void SlotBase::set_forward_passes(std::shared_ptr<ForwardPasses> passes) {
  make_state().forward_passes = std::move(passes);
  drop_empty_state();
}

std::shared_ptr<ForwardPasses> SlotBase::forward_passes() const {
  const auto existing = state();
  return existing ? existing->forward_passes : nullptr;
}

void SlotBase::set_qconfig(std::optional<QConfig> qconfig) {
  make_state().qconfig = std::move(qconfig);
  drop_empty_state();
}

}  // namespace octet::nn
