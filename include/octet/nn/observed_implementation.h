#pragma once

#include <octet/nn/output_qparams.h>
#include <octet/nn/slot.h>
#include <octet/observe/observer.h>
#include <octet/tensor/error.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace octet::nn {

/// What prepare() puts in place of a module that computes more than one result worth a scale of its own: the float arithmetic in
/// parts, and an observer for each. torch.ao.nn.quantizable. The observers are children under torch.ao's names for the
/// parts ("layers.0.layer_fw.cell.igates.activation_post_process"); a copy has its own. The float parameters stay in the slot.
/// Forward changes the observers, so only one thread may call it at once.
template <class Signature>
class ObservedImplementation : public FloatImplementation<Signature> {
 public:
  /// @param parts       their names
  /// @param activation  makes the observers
  ObservedImplementation(const std::vector<std::string>& parts, const ObserverFactory& activation) {
    for (const std::string& part : parts) observers().insert(name_of_observer(part), activation());
  }
  ObservedImplementation(const ObservedImplementation& other) : FloatImplementation<Signature>(other) {
    for (auto& child : observers()) child.value() = child.value()->clone();
  }

  /// How the integers of a part will be quantized.
  /// @param path  of the module. @throws Error as OutputQParams::from, naming the part: "lstm.layers.0.layer_fw.cell.igates"
  OutputQParams output(const std::string& part, const std::string& path) const {
    return OutputQParams::from(observer(part), path + "." + part);
  }

  const ObserverBase& observer(const std::string& part) const {
    const auto* const child = const_cast<ObservedImplementation&>(*this).observers().find(name_of_observer(part));
    check(child != nullptr, this->kind(), ": has no part \"", part, "\" that is observed");
    return static_cast<const ObserverBase&>(**child);
  }

  /// What the observers hold: "layers.0.layer_fw.cell.igates.activation_post_process.min_val".
  StateDict state_dict() const override { return this->named_buffers(); }
  Attributes attributes() const override { return {}; }
  int64_t weight_bytes() const override { return 0; }

  void pretty_print(std::ostream& stream) const override { stream << this->kind() << "()"; }

 protected:
  /// @param index  of the part among those that the constructor got
  at::Tensor observe(size_t index, const at::Tensor& result) {
    return static_cast<ObserverBase&>(*observers()[index].value()).forward(result);
  }

 private:
  static std::string name_of_observer(const std::string& part) { return part + "." + SlotBase::kActivationPostProcess; }

  torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>& observers() {
    return detail::ModuleInternals::children(*this);
  }
};

/// The observed form, of class Observed, that computes in the slot which `module` is.
/// @throws Error if there is none
template <class Observed>
std::shared_ptr<Observed> observed_form_of(const torch::nn::Module& module, const std::string& path) {
  const SlotBase* const slot = as_slot(module);
  auto observed = std::dynamic_pointer_cast<Observed>(slot ? slot->implementation() : nullptr);
  check(observed != nullptr, path,
        ": has no observed form to take the scales of its parts from; call prepare() with a qconfig for ",
        "it and calibrate before convert()");
  return observed;
}

}  // namespace octet::nn
