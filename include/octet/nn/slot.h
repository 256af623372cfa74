#pragma once

#include <octet/nn/implementation.h>
#include <octet/nn/module_internals.h>
#include <octet/nn/unary_module.h>
#include <octet/observe/observer.h>
#include <octet/observe/qconfig.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/nn/utils/rnn.h>

#include <algorithm>
#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

namespace octet::nn {

/// Called before a slot's forward with the tensors among its arguments, in order. It may replace them, and take itself out.
using ForwardPreHook = std::function<void(torch::nn::Module& module, std::vector<at::Tensor>& inputs)>;

/// Called after a slot's forward with the tensors of its arguments and of its result, in order. It may replace the latter.
using ForwardHook =
    std::function<void(torch::nn::Module& module, const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs)>;

/// The hooks of a slot by handle, thus in the order of registration. Shared with the calls that run them, so that a hook may take
/// itself out.
struct SlotHooks {
  std::map<int64_t, std::shared_ptr<const ForwardPreHook>> forward_pre;
  std::map<int64_t, std::shared_ptr<const ForwardHook>> forward;

  size_t size() const { return forward_pre.size() + forward.size(); }
};

/// Tells the forward passes of a prepared model apart, for modules that must not be used twice in one. Shared by its slots.
class ForwardPasses {
 public:
  void begin_next() { ++current_; }

  /// @throws Error if the module was used before in this pass. Before the first begin_next() there is no telling.
  void use(const torch::nn::Module& module, const std::string& path);

  /// Whether the module was used in any pass.
  bool has_used(const torch::nn::Module& module) const { return last_use_.contains(&module); }

 private:
  int64_t current_ = 0;
  std::map<const torch::nn::Module*, int64_t> last_use_;
};

/// What a slot holds beside its float module. It is a child of the slot, under the name `slot`, and only there when there
/// is something to hold. A child it must be: torch::nn::Cloneable clones a submodule by assigning its *torch* class, which
/// slices every member of ours off, but carries the children over.
class SlotState : public torch::nn::Module {
 public:
  static constexpr const char* kName = "slot";

  std::shared_ptr<ImplementationBase> implementation;
  SlotHooks hooks;
  std::optional<QConfig> qconfig;
  std::shared_ptr<ForwardPasses> forward_passes;  // of a prepared model
  std::string path;  // of the slot; here too since it would be sliced off

  bool empty() const;
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override;
  void train(bool on = true) override;
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Device device, bool non_blocking = false) override;
  void pretty_print(std::ostream& stream) const override;

  /// torch::save and torch::load pass over hooks, but do not lose an implementation in silence: save throws Error.
  bool is_serializable() const override { return implementation != nullptr; }
  void save(torch::serialize::OutputArchive& archive) const override;
};

/// Takes a hook out again, of the slot that it was registered with and not of its clones. Does nothing when the slot is gone.
class HookHandle {
 public:
  HookHandle(std::weak_ptr<torch::nn::Module> slot, int64_t id) : slot_(std::move(slot)), id_(id) {}
  void remove();

 private:
  std::weak_ptr<torch::nn::Module> slot_;
  int64_t id_;
};

/// What every slot has, whatever its float class. Find it with `dynamic_cast<SlotBase*>(&module)`.
/// Forward may be called from many threads at once; all that changes a slot may not run beside it.
class SlotBase {
 public:
  static constexpr const char* kActivationPostProcess = "activation_post_process";

  virtual ~SlotBase() = default;

  /// The slot as the module that it is.
  virtual torch::nn::Module& module() = 0;
  const torch::nn::Module& module() const { return const_cast<SlotBase*>(this)->module(); }

  /// The torch class of the float module: typeid(torch::nn::LinearImpl).
  virtual std::type_index float_type() const = 0;

  /// The name of that class as users write it: "Linear".
  std::string type_name() const;

  /// What computes instead of the float module; null when that one does.
  std::shared_ptr<ImplementationBase> implementation() const;

  /// The class of what computes: that of the implementation if it keeps the float module (a fused module, say), else
  /// float_type(). It is what the mapping tables of the workflows look up.
  std::type_index current_type() const;

  /// Lets `implementation` compute from now on and, unless it keeps them, gives the float module's parameters free.
  /// @throws Error when it does not answer calls of this slot's signature; the slot is then as it was.
  void set_implementation(std::shared_ptr<ImplementationBase> implementation);

  /// @throws Error as set_implementation would, without changing anything.
  void check_implementation(const ImplementationBase& implementation) const;

  /// Hooks run in the order of registration: pre-hooks, forward, hooks, then the activation's observer. They survive swaps
  /// and clones.
  HookHandle register_forward_pre_hook(ForwardPreHook hook);
  HookHandle register_forward_hook(ForwardHook hook);

  /// All hooks, to give them to another slot, say. A handle does not follow its hook there.
  SlotHooks hooks() const;
  void set_hooks(SlotHooks hooks);

  /// The observer or fake quantization of the output: the slot's child `activation_post_process`, as in torch.ao. Null
  /// takes it away. It sees a result that is one tensor.
  void set_activation_post_process(std::shared_ptr<ObserverBase> observer);
  std::shared_ptr<ObserverBase> activation_post_process() const;

  /// The qconfig that prepare() gave this slot; convert() reads it.
  std::optional<QConfig> qconfig() const;
  void set_qconfig(std::optional<QConfig> qconfig);

  /// What tells a prepared model's forward passes apart; null outside of one. Set by prepare(), taken away by convert().
  void set_forward_passes(std::shared_ptr<ForwardPasses> passes);
  std::shared_ptr<ForwardPasses> forward_passes() const;

  /// Where the slot is in its model, for error messages ("encoder.layers.0.fc"). Set by the workflows.
  const std::string& path() const;
  void set_path(std::string path);

 protected:
  std::shared_ptr<SlotState> state() const;
  SlotState& make_state();
  void drop_empty_state();

  /// Whether the implementation has the signature of this slot.
  virtual bool accepts(const ImplementationBase& implementation) const = 0;
  virtual void release_float_parameters() = 0;
  bool has_released_float_module() const;

 private:
  std::string path_;
};

/// The slot that a module is, or null.
inline SlotBase* as_slot(torch::nn::Module& module) { return dynamic_cast<SlotBase*>(&module); }
inline const SlotBase* as_slot(const torch::nn::Module& module) { return dynamic_cast<const SlotBase*>(&module); }

namespace detail {

/// `Tensor` and `const Tensor&` parameters are one, so that all unary modules share an implementation's signature.
template <class Argument>
using CanonicalArgument = std::conditional_t<std::is_same_v<Argument, at::Tensor>, const at::Tensor&, Argument>;

template <class MemberFunction>
struct ForwardSignature;
template <class Result, class Module, class... Arguments>
struct ForwardSignature<Result (Module::*)(Arguments...)> {
  using type = Result(CanonicalArgument<Arguments>...);
};
template <class Float>
using ForwardSignatureOf = typename ForwardSignature<decltype(&Float::forward)>::type;

/// Calls visit(Tensor&) for each tensor in a value, in order; other values (output sizes, say) have none.
template <class Value, class Visit>
void for_each_tensor(Value& value, const Visit& visit) {
  if constexpr (std::is_same_v<Value, at::Tensor>) {
    visit(value);
  } else if constexpr (std::is_same_v<Value, torch::nn::utils::rnn::PackedSequence>) {
    at::Tensor data = value.data();
    visit(data);
    if (!data.is_same(value.data())) {
      value = Value(data, value.batch_sizes(), value.sorted_indices(), value.unsorted_indices());
    }
  } else if constexpr (std::is_same_v<Value, std::vector<at::Tensor>>) {
    for (at::Tensor& tensor : value) visit(tensor);
  } else if constexpr (requires { value.has_value(); }) {
    if (value) for_each_tensor(*value, visit);
  } else if constexpr (requires { std::tuple_size<Value>::value; }) {
    std::apply([&](auto&... elements) { (for_each_tensor(elements, visit), ...); }, value);
  }
}

template <class Value>
std::vector<at::Tensor> tensors_of(Value& value) {
  std::vector<at::Tensor> tensors;
  for_each_tensor(value, [&](at::Tensor& tensor) { tensors.push_back(tensor); });
  return tensors;
}
template <class Value>
void put_tensors(Value& value, const std::vector<at::Tensor>& tensors) {
  const size_t count = tensors_of(value).size();
  check(tensors.size() == count, ModulePathScope::current(), ": a hook left ", tensors.size(), " of ", count,
        " tensors; it may replace tensors, but not add or take away any");
  auto next = tensors.begin();
  for_each_tensor(value, [&](at::Tensor& tensor) { tensor = *next++; });
}

/// Runs hooks in order. They may change the map that `hooks` is a copy of.
template <class Hooks, class... Arguments>
void run_hooks(const Hooks hooks, Arguments&... arguments) {
  for (const auto& [id, hook] : hooks) (*hook)(arguments...);
}

/// @throws Error always, for implementations of recurrent modules that have no forward_with_packed_input
[[noreturn]] void refuse_packed_input(const ImplementationBase& implementation);

/// Converts as torch::nn::Module::to does, but leaves integer parameters and buffers their dtype.
void move_to(torch::nn::Module& module, std::optional<torch::Device> device, std::optional<torch::Dtype> dtype,
             bool non_blocking);

/// A detached copy that requires grad as the original does. Undefined tensors stay undefined.
at::Tensor deep_copy(const at::Tensor& tensor, const std::optional<torch::Device>& device);

/// Fills `copy`, a module that was copied member by member, with copies of all that `source` has registered.
void deep_copy_registered(const torch::nn::Module& source, torch::nn::Module& copy, const std::optional<torch::Device>& device);

/// The members of torch's module classes that hold their tensors, as one list.
template <class Float>
std::vector<std::pair<const char*, at::Tensor*>> tensor_members(Float& module) {
  std::vector<std::pair<const char*, at::Tensor*>> members;
  if constexpr (requires { module.weight; }) members.emplace_back("weight", &module.weight);
  if constexpr (requires { module.bias; }) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(module.bias)>, at::Tensor>)
      members.emplace_back("bias", &module.bias);
  }
  if constexpr (requires { module.running_mean; }) {
    members.emplace_back("running_mean", &module.running_mean);
    members.emplace_back("running_var", &module.running_var);
    members.emplace_back("num_batches_tracked", &module.num_batches_tracked);
  }
  if constexpr (requires { module.weight_ih; }) {
    members.emplace_back("weight_ih", &module.weight_ih);
    members.emplace_back("weight_hh", &module.weight_hh);
    members.emplace_back("bias_ih", &module.bias_ih);
    members.emplace_back("bias_hh", &module.bias_hh);
  }
  if constexpr (requires { module.in_proj_weight; }) {
    members.emplace_back("in_proj_weight", &module.in_proj_weight);
    members.emplace_back("in_proj_bias", &module.in_proj_bias);
    members.emplace_back("q_proj_weight", &module.q_proj_weight);
    members.emplace_back("k_proj_weight", &module.k_proj_weight);
    members.emplace_back("v_proj_weight", &module.v_proj_weight);
    members.emplace_back("bias_k", &module.bias_k);
    members.emplace_back("bias_v", &module.bias_v);
  }
  return members;
}

/// The implementations that a slot takes: recurrent ones also answer forward_with_packed_input.
template <class Float, class Signature>
struct ImplementationFor {
  using type = Implementation<Signature>;
};
template <class Float, class Signature>
  requires requires { &Float::forward_with_packed_input; }
struct ImplementationFor<Float, Signature> {
  using type = RecurrentImplementation<Signature>;
};

/// The part of a slot that does not depend on how many arguments its forward takes.
template <class Self, class Float, class Signature>
class SlotCore : public Float, public SlotBase {
 public:
  using FloatModule = Float;
  using Implementation = typename ImplementationFor<Float, Signature>::type;

  /// The constructors of the float module. From a float module: a slot that shares its tensors.
  template <class... Arguments>
    requires std::constructible_from<Float, Arguments...> && (!std::derived_from<std::remove_cvref_t<Arguments>, SlotBase> && ...)
  explicit SlotCore(Arguments&&... arguments) : Float(std::forward<Arguments>(arguments)...) {
    ModuleInternals::set_name(*this, "octet::nn::" + type_name() + "Impl");
  }
  SlotCore(const SlotCore&) = default;

  torch::nn::Module& module() override { return *this; }
  std::type_index float_type() const override { return typeid(Float); }

  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override {
    return clone_as<Self>(device);
  }

  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override { move(device, dtype, non_blocking); }
  void to(torch::Dtype dtype, bool non_blocking = false) override { move(std::nullopt, dtype, non_blocking); }
  void to(torch::Device device, bool non_blocking = false) override { move(device, std::nullopt, non_blocking); }

  void pretty_print(std::ostream& stream) const override {
    stream << "octet::nn::" << type_name();
    if (has_released_float_module()) return;  // the child `slot` says what computes
    std::ostringstream text;
    Float::pretty_print(text);
    const std::string options = text.str();
    stream << options.substr(std::min(options.find('('), options.size()));
  }

 protected:
  /// Makes a FloatImplementation look like any other.
  struct WithFloatModule {
    FloatImplementation<Signature>& implementation;
    torch::nn::Module& float_module;

    template <class... Inputs>
    auto forward(const Inputs&... inputs)
        -> decltype(std::declval<FloatImplementation<Signature>&>().forward(std::declval<torch::nn::Module&>(), inputs...)) {
      return implementation.forward(float_module, inputs...);
    }
  };

  /// Every way into the slot: `compute(target, arguments...)` calls forward or a sibling of it on the float module or on
  /// the implementation.
  template <class Value, class Compute, class... Inputs>
  Value dispatch(const Compute& compute, Inputs... inputs) {
    const ModulePathScope scope(path());
    if (ModuleInternals::children(*this).is_empty()) return compute(static_cast<Float&>(*this), inputs...);
    const std::shared_ptr<SlotState> slot_state = state();
    const bool has_other_children = ModuleInternals::children(*this).size() > (slot_state ? 1 : 0);
    const auto observer = has_other_children ? activation_post_process() : nullptr;

    std::tuple<std::remove_cvref_t<Inputs>...> arguments(inputs...);
    if (slot_state && !slot_state->hooks.forward_pre.empty()) {
      auto tensors = tensors_of(arguments);
      run_hooks(slot_state->hooks.forward_pre, *this, tensors);
      put_tensors(arguments, tensors);
    }
    auto* const implementation = slot_state ? slot_state->implementation.get() : nullptr;
    Value result = std::apply(
        [&](const auto&... values) -> Value {
          if (!implementation) return compute(static_cast<Float&>(*this), values...);
          if (implementation->keeps_float_module()) {
            if constexpr (std::is_invocable_v<const Compute&, WithFloatModule&, decltype(values)...>) {
              WithFloatModule target{static_cast<FloatImplementation<Signature>&>(*implementation), *this};
              return compute(target, values...);
            } else {
              refuse_packed_input(*implementation);
            }
          }
          return compute(static_cast<Implementation&>(*implementation), values...);
        },
        arguments);
    if (slot_state && !slot_state->hooks.forward.empty()) {
      const auto tensors = tensors_of(arguments);
      auto outputs = tensors_of(result);
      run_hooks(slot_state->hooks.forward, *this, tensors, outputs);
      put_tensors(result, outputs);
    }
    if constexpr (std::is_same_v<Value, at::Tensor>) {
      if (observer && is_observed(arguments)) result = observer->forward(result);
    }
    return result;
  }

  /// Float classes may have a say in which of their results the observer sees.
  template <class Tuple>
  static bool is_observed(const Tuple& arguments) {
    return std::apply(
        [](const auto&... values) {
          if constexpr (requires { Float::is_observed(values...); }) {
            return Float::is_observed(values...);
          } else {
            return true;
          }
        },
        arguments);
  }

  template <class Slot>
  std::shared_ptr<torch::nn::Module> clone_as(const std::optional<torch::Device>& device) const {
    const torch::NoGradGuard no_grad;
    auto copy = std::make_shared<Slot>(static_cast<const Slot&>(*this));
    ModuleInternals::parameters(*copy).clear();
    ModuleInternals::buffers(*copy).clear();
    ModuleInternals::children(*copy).clear();
    if (!has_released_float_module()) copy->reset();  // else there are no float tensors to make anew
    deep_copy_registered(*this, *copy, device);
    // A member may have been tied to a tensor that is not the registered one: what forward reads is what must be cloned.
    auto& self = const_cast<SlotCore&>(*this);
    const auto sources = tensor_members(static_cast<Float&>(self)), copies = tensor_members(static_cast<Float&>(*copy));
    for (size_t i = 0; i < sources.size(); ++i) {
      const auto& [name, source] = sources[i];
      const at::Tensor* registered = ModuleInternals::parameters(self).find(name);
      if (!registered) registered = ModuleInternals::buffers(self).find(name);
      if (!registered || source->is_same(*registered)) continue;
      at::Tensor& tensor = *copies[i].second;
      if (source->defined() && tensor.defined()) {
        tensor.set_data(deep_copy(*source, device));  // it stays the registered one
      } else {
        tensor = deep_copy(*source, device);
      }
    }
    return copy;
  }

  bool accepts(const ImplementationBase& implementation) const override {
    return dynamic_cast<const Implementation*>(&implementation) ||
           dynamic_cast<const FloatImplementation<Signature>*>(&implementation);
  }

  void release_float_parameters() override {
    for (auto& [name, member] : tensor_members(static_cast<Float&>(*this))) *member = at::Tensor();
    if constexpr (requires { this->flat_weights_; }) {
      for (auto& weight : this->flat_weights_) weight = at::Tensor();
    }
    ModuleInternals::parameters(*this).clear();
    ModuleInternals::buffers(*this).clear();
  }

 private:
  void move(std::optional<torch::Device> device, std::optional<torch::Dtype> dtype, bool non_blocking) {
    move_to(*this, device, dtype, non_blocking);
    if constexpr (requires { this->reset_flat_weights(); }) {
      if (!has_released_float_module()) this->reset_flat_weights();
    }
  }
};

}  // namespace detail

/// A module of the torch class `Float` that can be swapped while it stays in place: it *is a* `Float` for ever (typed
/// members, Sequential, `as<>()`, clone() and the parameters' names keep working), but what it computes is the float module
/// or, once a workflow has set one, an implementation. Any class with one non-template, non-overloaded forward whose
/// arguments after the first default to `{}` makes a slot, so users can make slots of modules of their own.
template <class Float, class Signature = detail::ForwardSignatureOf<Float>>
class Slot;

template <class Float, class Result, class Input>
class Slot<Float, Result(Input)> : public UnaryModule<detail::SlotCore<Slot<Float>, Float, Result(Input)>> {
 public:
  using UnaryModule<detail::SlotCore<Slot<Float>, Float, Result(Input)>>::UnaryModule;

  Result forward(Input input) {
    return this->template dispatch<Result>([](auto& target, const auto& x) { return target.forward(x); }, input);
  }
};

template <class Float, class Result, class Input, class Second>
class Slot<Float, Result(Input, Second)> : public detail::SlotCore<Slot<Float>, Float, Result(Input, Second)> {
 public:
  using detail::SlotCore<Slot<Float>, Float, Result(Input, Second)>::SlotCore;

  Result forward(Input input, Second second = {}) {
    return this->template dispatch<Result>([](auto& target, const auto&... all) { return target.forward(all...); }, input,
                                           second);
  }
};

template <class Float, class Result, class Input, class Second, class Third>
class Slot<Float, Result(Input, Second, Third)> : public detail::SlotCore<Slot<Float>, Float, Result(Input, Second, Third)> {
 public:
  using detail::SlotCore<Slot<Float>, Float, Result(Input, Second, Third)>::SlotCore;

  Result forward(Input input, Second second = {}, Third third = {}) {
    return this->template dispatch<Result>([](auto& target, const auto&... all) { return target.forward(all...); }, input, second,
                                           third);
  }
};

/// A slot of LSTM, GRU or RNN, which also take packed sequences.
template <class Float>
class RecurrentSlot : public Slot<Float> {
 public:
  using Slot<Float>::Slot;
  using Hidden = typename detail::RecurrentTypes<detail::ForwardSignatureOf<Float>>::Hidden;
  using PackedResult = typename detail::RecurrentTypes<detail::ForwardSignatureOf<Float>>::PackedResult;

  PackedResult forward_with_packed_input(const torch::nn::utils::rnn::PackedSequence& packed_input, Hidden hx = {}) {
    return this->template dispatch<PackedResult>(
        [](auto& target, const auto&... all) -> decltype(target.forward_with_packed_input(all...)) {
          return target.forward_with_packed_input(all...);
        },
        packed_input, hx);
  }

  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override {
    return this->template clone_as<RecurrentSlot>(device);
  }
};

}  // namespace octet::nn
