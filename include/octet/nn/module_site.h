#pragma once

#include <octet/nn/slot.h>

#include <torch/nn/modules/container/sequential.h>

#include <memory>
#include <string>
#include <typeindex>
#include <vector>

namespace octet::nn {

/// A place in a model where a module is, and how it can be swapped there.
class ModuleSite {
 public:
  /// "encoder.layers.0"; empty for the model itself.
  const std::string& path() const { return path_; }
  torch::nn::Module& module() const { return *module_; }

  /// The slot that the module is; null for modules of torch::nn and of the user.
  SlotBase* slot() const { return slot_; }

  /// The class of the float module: for a slot that in torch::nn, else its own.
  std::type_index float_type() const;
  /// SlotBase::current_type for a slot, else float_type().
  std::type_index current_type() const;
  /// The name of current_type() as users write it: "Linear".
  std::string type_name() const;

  /// The first path under which the same module was met before; null at its first place.
  const std::string* same_as() const { return same_as_.empty() ? nullptr : &same_as_; }

  /// Whether the module computes something by itself: slots, modules without children, modules with parameters of their own.
  bool computes() const { return computes_; }

  /// Whether swap() has a way: into a slot, or, in a Sequential, by putting a slot in place of the module (unless the module
  /// is also somewhere else, where it would stay what it is).
  bool swappable() const;

  /// The slot here; in a Sequential one takes the place of a module of torch::nn, whose tensors it shares.
  /// @throws Error if the place is not swappable
  SlotBase& make_slot();

  /// Lets `implementation` compute at this place. @throws Error as SlotBase::set_implementation, before anything changes
  void swap(std::shared_ptr<ImplementationBase> implementation);

  /// @throws Error as swap() would, without changing anything.
  void check_swap(const ImplementationBase& implementation) const;

 private:
  friend std::vector<ModuleSite> module_sites(torch::nn::Module& model);
  friend class SiteWalk;

  std::string path_;
  std::string same_as_;
  torch::nn::Module* module_ = nullptr;
  SlotBase* slot_ = nullptr;
  torch::nn::SequentialImpl* sequential_ = nullptr;  // the parent, if it is one
  size_t index_ = 0;                                 // in it
  bool computes_ = false;
  bool is_shared_ = false;  // met at more than one place
};

/// Every module of a model with its path, parents before children, in the order of registration. What slots hold (their
/// state, their observers, the parts of a fused module) is not listed, but for the stubs that add_quant_dequant() hangs on
/// them ("fc.quant"). Tells each slot its path. The sites are good for as long as the model's structure stays as it is.
std::vector<ModuleSite> module_sites(torch::nn::Module& model);

}  // namespace octet::nn
