#include <octet/nn/module_site.h>
#include <octet/nn/modules.h>
#include <octet/observe/qconfig_mapping.h>

#include <torch/nn/modules/container/any.h>

#include <unordered_map>

namespace octet::nn {
namespace {

/// A slot that shares the tensors of a plain module of torch::nn.
using MakeSlot = torch::nn::AnyModule (*)(const torch::nn::Module& module);

template <class SlotType>
torch::nn::AnyModule make_slot(const torch::nn::Module& module) {
  using Float = typename SlotType::FloatModule;
  auto slot = std::make_shared<SlotType>(dynamic_cast<const Float&>(module));
  slot->train(module.is_training());
  return torch::nn::AnyModule(std::move(slot));
}

template <class... SlotTypes>
std::unordered_map<std::type_index, MakeSlot> slots_by_float_type() {
  return {{typeid(typename SlotTypes::FloatModule), &make_slot<SlotTypes>}...};
}

MakeSlot find_make_slot(std::type_index float_type) {
  static const auto table =
      slots_by_float_type<LinearImpl, Conv1dImpl, Conv2dImpl, Conv3dImpl, ConvTranspose1dImpl, ConvTranspose2dImpl,
                          ConvTranspose3dImpl, BatchNorm1dImpl, BatchNorm2dImpl, BatchNorm3dImpl, InstanceNorm1dImpl,
                          InstanceNorm2dImpl, InstanceNorm3dImpl, LayerNormImpl, GroupNormImpl, EmbeddingImpl, EmbeddingBagImpl,
                          RNNImpl, LSTMImpl, GRUImpl, RNNCellImpl, LSTMCellImpl, GRUCellImpl, ReLUImpl, ReLU6Impl, ELUImpl,
                          LeakyReLUImpl, PReLUImpl, SigmoidImpl, TanhImpl, SoftmaxImpl, SiLUImpl, GELUImpl, DropoutImpl,
                          MultiheadAttentionImpl>();
  const auto found = table.find(float_type);
  return found == table.end() ? nullptr : found->second;
}

/// The stubs that add_quant_dequant() hangs on a slot.
bool is_stub(const torch::nn::Module& module) {
  return dynamic_cast<const QuantStubImpl*>(&module) || dynamic_cast<const DeQuantStubImpl*>(&module);
}

}  // namespace

/// Walks a model once, depth first.
class SiteWalk {
 public:
  std::vector<ModuleSite> sites;

  void visit(torch::nn::Module& module, const std::string& path, torch::nn::SequentialImpl* parent, size_t index) {
    ModuleSite site;
    site.path_ = path;
    site.module_ = &module;
    site.slot_ = as_slot(module);
    site.sequential_ = parent;
    site.index_ = index;
    const auto [first, is_new] = first_sites_.emplace(&module, sites.size());
    if (!is_new) {
      ModuleSite& original = sites[first->second];
      site.same_as_ = original.path_;
      site.is_shared_ = original.is_shared_ = true;
    }
    auto& children = detail::ModuleInternals::children(module);
    const bool is_slot = site.slot_ != nullptr;
    site.computes_ = is_slot || children.is_empty() || !detail::ModuleInternals::parameters(module).is_empty();
    if (site.slot_ && is_new) site.slot_->set_path(path);
    sites.push_back(std::move(site));
    if (!is_new) return;
    auto* const sequential = dynamic_cast<torch::nn::SequentialImpl*>(&module);
    for (size_t i = 0; i < children.size(); ++i) {
      if (is_slot && !is_stub(*children[i].value())) continue;
      visit(*children[i].value(), path.empty() ? children[i].key() : path + "." + children[i].key(), sequential, i);
    }
  }

 private:
  std::unordered_map<const torch::nn::Module*, size_t> first_sites_;  // index into sites
};

std::vector<ModuleSite> module_sites(torch::nn::Module& model) {
  SiteWalk walk;
  walk.visit(model, "", nullptr, 0);
  return std::move(walk.sites);
}

std::type_index ModuleSite::float_type() const { return slot_ ? slot_->float_type() : std::type_index(typeid(*module_)); }

std::type_index ModuleSite::current_type() const { return slot_ ? slot_->current_type() : float_type(); }

std::string ModuleSite::type_name() const { return ModuleType(current_type()).name(); }

bool ModuleSite::swappable() const { return slot_ || (sequential_ && !is_shared_ && find_make_slot(float_type())); }

void ModuleSite::check_swap(const ImplementationBase& implementation) const {
  check(swappable(), path_, " of ", type_name(), ": not swappable; declare it as octet::nn::", type_name());
  if (slot_) {
    slot_->check_implementation(implementation);
  } else {
    auto probe = find_make_slot(float_type())(*module_);
    as_slot(*probe.ptr())->check_implementation(implementation);
  }
}

SlotBase& ModuleSite::make_slot() {
  if (slot_) return *slot_;
  check(swappable(), path_, " of ", type_name(), ": not swappable; declare it as octet::nn::", type_name());
  auto made = find_make_slot(float_type())(*module_);
  const auto module = made.ptr();
  as_slot(*module)->set_path(path_);
  detail::ModuleInternals::children(*sequential_)[index_].value() = module;
  *(sequential_->begin() + static_cast<std::ptrdiff_t>(index_)) = std::move(made);
  module_ = module.get();
  slot_ = as_slot(*module);
  return *slot_;
}

void ModuleSite::swap(std::shared_ptr<ImplementationBase> implementation) {
  check(implementation != nullptr, path_, ": got no implementation to put there");
  check_swap(*implementation);
  make_slot().set_implementation(std::move(implementation));
}

}  // namespace octet::nn
