#include <octet/nn/module_site.h>
#include <octet/nn/modules.h>
#include <octet/observe/default_observers.h>
#include <octet/observe/fake_quantize.h>
#include <octet/observe/fixed_qparams_observer.h>
#include <octet/tensor/error.h>
#include <octet/workflow/prepare.h>

#include <workflow/site_rows.h>

#include <algorithm>
#include <memory>
#include <string>
#include <typeindex>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace octet {
namespace {

using nn::ModuleSite;

/// Modules that get a qconfig but no observer: what they return is as quantized as what they get, or not at all.
bool has_no_observer(std::type_index type) {
  static const std::unordered_set<std::type_index> types{typeid(torch::nn::DropoutImpl), typeid(nn::DeQuantStubImpl::FloatModule),
                                                         typeid(torch::nn::EmbeddingImpl), typeid(torch::nn::EmbeddingBagImpl)};
  return types.contains(type);
}

bool is_fixed(const ObserverFactory& observer) {
  return dynamic_cast<const FixedQParamsObserver*>(observer.prototype()) ||
         dynamic_cast<const FixedQParamsFakeQuantize*>(observer.prototype());
}

/// What observes the output: for functions of a known range fixed qparams. torch.ao's DEFAULT_MODULE_TO_ACT_POST_PROCESS.
const ObserverFactory& activation_of(std::type_index type, const QConfig& qconfig) {
  static const std::unordered_map<std::type_index, ObserverFactory> fixed{
      {typeid(nn::HardsigmoidImpl::FloatModule), default_fixed_qparams_range_0to1_observer},
      {typeid(torch::nn::SigmoidImpl), default_fixed_qparams_range_0to1_observer},
      {typeid(torch::nn::SoftmaxImpl), default_fixed_qparams_range_0to1_observer},
      {typeid(torch::nn::TanhImpl), default_fixed_qparams_range_neg1to1_observer}};
  const auto found = fixed.find(type);
  return found == fixed.end() || is_fixed(qconfig.activation) ? qconfig.activation : found->second;
}

/// Why this qconfig can't be had for a module of that class; empty if it can.
std::string why_unsuitable(std::type_index type, const QConfig& qconfig) {
  if (type == typeid(torch::nn::EmbeddingImpl) || type == typeid(torch::nn::EmbeddingBagImpl)) {
    return qconfig.weight.qscheme() == per_channel_affine_float_qparams
               ? ""
               : "its qconfig has no float qparams for the weight; embeddings want float_qparams_weight_only_qconfig";
  }
  if (!info(qconfig.activation.dtype()).is_quantized || qconfig.activation.is_dynamic()) {
    return "its qconfig's activation " + qconfig.activation.name() + " is for dynamic or no quantization of activations";
  }
  return "";
}

/// What will be done to one module.
struct Preparation {
  ModuleSite* site;
  QConfig qconfig;
  std::shared_ptr<ObserverBase> observer;                 // null: none
  std::shared_ptr<nn::ImplementationBase> observed_form;  // null: the observer is all
};

bool is_allowed(const ModuleSite& site, const PrepareOptions& options) {
  const ModuleType current(site.current_type()), plain(site.float_type());
  if (options.allow_list()) {
    return std::any_of(options.allow_list()->begin(), options.allow_list()->end(),
                       [&](const ModuleType& type) { return type.matches(current) || type.matches(plain); });
  }
  return default_static_quant_module_mappings().find(site.current_type()) ||
         options.float_to_observed_custom_module_class().find(site.current_type());
}

void check_not_prepared(const std::vector<ModuleSite>& sites) {
  for (const ModuleSite& site : sites) {
    check(!site.slot() || !site.slot()->forward_passes(), "prepare: the model was prepared before (", site.path(),
          " has its qconfig); calibrate it and convert() it");
  }
}

}  // namespace

Report prepare(torch::nn::Module& model, const QConfigMapping& qconfig_mapping, const PrepareOptions& options) {
  std::vector<ModuleSite> sites = nn::module_sites(model);
  check_eval_mode(sites, "prepare", "post-training quantization wants eval(), quantization-aware training prepare_qat()");
  check_not_prepared(sites);
  check_paths(qconfig_mapping, sites, "prepare");

  Report report;
  std::vector<Preparation> preparations;
  const auto allows = [&](const ModuleSite& site) { return is_allowed(site, options); };
  for_each_open_site(sites, report, allows, [&](ModuleSite& site, const auto& add) {
    const bool allowed = allows(site);
    auto match = qconfig_mapping.find(site.path(), {ModuleType(site.current_type()), ModuleType(site.float_type())});
    if (site.slot() && site.slot()->qconfig()) match = {site.slot()->qconfig(), "the slot itself"};
    const auto unsuitable = match.qconfig && allowed ? why_unsuitable(site.float_type(), *match.qconfig) : std::string();
    if (!allowed) {
      add(ModuleStatus::kept, options.allow_list() ? "not in the allow_list" : why_not_quantized(site));
    } else if (!match.qconfig) {
      add(ModuleStatus::kept, why_without_qconfig(match));
    } else if (!unsuitable.empty()) {
      add(ModuleStatus::kept, unsuitable);
    } else if (!site.swappable()) {
      add(ModuleStatus::not_swappable, how_to_make_swappable(site));
    } else {
      Preparation preparation{&site, *match.qconfig, nullptr, nullptr};
      if (const auto* const from_float = options.float_to_observed_custom_module_class().find(site.current_type())) {
        preparation.observed_form = (*from_float)(site.module(), *match.qconfig, site.path());
        site.check_swap(*preparation.observed_form);
        add(ModuleStatus::observed, preparation.observed_form->kind());
      } else if (has_no_observer(site.float_type())) {
        add(ModuleStatus::observed, "nothing to observe");
      } else {
        preparation.observer = activation_of(site.float_type(), *match.qconfig)();
        add(ModuleStatus::observed, preparation.observer->name());
      }
      preparations.push_back(std::move(preparation));
    }
  });
  check(!preparations.empty(), "prepare: no module of the model gets a qconfig, so nothing would be quantized:\n", report);

  const auto passes = std::make_shared<nn::ForwardPasses>();
  const auto parameters = model.parameters();
  for (Preparation& preparation : preparations) {
    nn::SlotBase& slot = preparation.site->make_slot();
    if (preparation.observed_form) slot.set_implementation(std::move(preparation.observed_form));
    if (preparation.observer && !parameters.empty()) preparation.observer->to(parameters.front().device());
    if (preparation.observer) slot.set_activation_post_process(std::move(preparation.observer));
    slot.set_qconfig(std::move(preparation.qconfig));
    slot.set_forward_passes(passes);
  }
  return report;
}

}  // namespace octet
