#include <octet/nn/intrinsic.h>
#include <octet/nn/module_site.h>
#include <octet/nn/modules.h>
#include <octet/workflow/add_quant_dequant.h>
#include <octet/workflow/mappings.h>

#include <workflow/site_rows.h>

#include <memory>
#include <string>
#include <typeindex>
#include <unordered_set>
#include <vector>

namespace octet {
namespace {

constexpr const char* kQuant = "quant";
constexpr const char* kDequant = "dequant";

/// Finds the stub at the module that the hook got, so that the hook of a clone runs the stub of the clone.
template <class Stub>
void run_stub(torch::nn::Module& module, const char* name, at::Tensor& tensor) {
  tensor = dynamic_cast<Stub&>(**nn::detail::ModuleInternals::children(module).find(name)).forward(tensor);
}

void add_stubs(nn::SlotBase& slot, const QConfig& qconfig) {
  const auto quant = slot.module().register_module(kQuant, std::make_shared<nn::QuantStubImpl>());
  const auto dequant = slot.module().register_module(kDequant, std::make_shared<nn::DeQuantStubImpl>());
  for (nn::SlotBase* const each : {static_cast<nn::SlotBase*>(quant.get()), static_cast<nn::SlotBase*>(dequant.get()), &slot}) {
    each->module().train(slot.module().is_training());
    each->set_qconfig(qconfig);
  }
  slot.register_forward_pre_hook(
      [](torch::nn::Module& module, std::vector<at::Tensor>& inputs) { run_stub<nn::QuantStubImpl>(module, kQuant, inputs[0]); });
  slot.register_forward_hook([](torch::nn::Module& module, const auto&, std::vector<at::Tensor>& outputs) {
    run_stub<nn::DeQuantStubImpl>(module, kDequant, outputs[0]);
  });
}

/// Whether a module takes one tensor of numbers to be quantized, and returns another.
bool is_wrappable(const nn::ModuleSite& site) {
  static const std::unordered_set<std::type_index> others{typeid(nn::QuantStubImpl::FloatModule),
                                                          typeid(nn::DeQuantStubImpl::FloatModule),
                                                          typeid(torch::nn::EmbeddingImpl), typeid(torch::nn::DropoutImpl)};
  if (others.contains(site.float_type())) return false;
  try {
    site.check_swap(nn::intrinsic::IdentityImpl());
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

Report add_quant_dequant(torch::nn::Module& model, const QConfigMapping& qconfig_mapping) {
  std::vector<nn::ModuleSite> sites = nn::module_sites(model);
  check_paths(qconfig_mapping, sites, "add_quant_dequant");
  Report report;
  const auto quantized_form_of = [](const nn::ModuleSite& site) {
    return default_static_quant_module_mappings().find(site.current_type());
  };
  for_each_open_site(sites, report, quantized_form_of, [&](nn::ModuleSite& site, const auto& add) {
    const auto match = qconfig_mapping.find(site.path(), {ModuleType(site.current_type()), ModuleType(site.float_type())});
    if (!quantized_form_of(site)) {
      add(ModuleStatus::kept, why_not_quantized(site));
    } else if (!match.qconfig) {
      add(ModuleStatus::kept, why_without_qconfig(match));
    } else if (!site.swappable()) {
      add(ModuleStatus::not_swappable, how_to_make_swappable(site));
    } else if (!is_wrappable(site)) {
      add(ModuleStatus::kept, "takes no single tensor to be quantized");
    } else if (is_weight_only(site, *match.qconfig)) {
      add(ModuleStatus::kept, "needs no stubs: with weights in groups it takes and returns floats");
    } else if (site.module().named_children().contains(kQuant)) {
      add(ModuleStatus::kept, "has its stubs already");
    } else {
      add_stubs(site.make_slot(), *match.qconfig);
      add(ModuleStatus::wrapped, "float in and out by " + site.path() + "." + kQuant + " and " + site.path() + "." + kDequant);
    }
  });
  return report;
}

}  // namespace octet
