#include <octet/nn/modules.h>
#include <octet/nn/qat.h>
#include <octet/observe/default_fake_quantize.h>
#include <octet/observe/default_observers.h>
#include <octet/observe/fixed_qparams_observer.h>
#include <octet/tensor/error.h>

#include <workflow/preparation.h>
#include <workflow/site_rows.h>

#include <algorithm>
#include <string>
#include <typeindex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace octet {
namespace {

using nn::ModuleSite;

/// Modules that get a qconfig but no observer: what they return is as quantized as what they get, or not at all.
bool is_without_observer(std::type_index type) {
  static const std::unordered_set<std::type_index> types{typeid(torch::nn::DropoutImpl), typeid(nn::DeQuantStubImpl::FloatModule),
                                                         typeid(torch::nn::EmbeddingImpl), typeid(torch::nn::EmbeddingBagImpl)};
  return types.contains(type);
}

bool is_fixed(const ObserverFactory& observer) {
  return dynamic_cast<const FixedQParamsObserver*>(observer.prototype()) ||
         dynamic_cast<const FixedQParamsFakeQuantize*>(observer.prototype());
}

/// For functions of a known range.
struct FixedRange {
  ObserverFactory observer, fake_quant;
};

/// What observes the output: for functions of a known range fixed qparams. torch.ao's DEFAULT_MODULE_TO_ACT_POST_PROCESS.
const ObserverFactory& activation_of(std::type_index type, const QConfig& qconfig, bool is_training) {
  static const FixedRange from_0to1{default_fixed_qparams_range_0to1_observer, default_fixed_qparams_range_0to1_fake_quant};
  static const FixedRange from_neg1to1{default_fixed_qparams_range_neg1to1_observer,
                                       default_fixed_qparams_range_neg1to1_fake_quant};
  static const std::unordered_map<std::type_index, FixedRange> fixed{{typeid(nn::HardsigmoidImpl::FloatModule), from_0to1},
                                                                     {typeid(torch::nn::SigmoidImpl), from_0to1},
                                                                     {typeid(torch::nn::SoftmaxImpl), from_0to1},
                                                                     {typeid(torch::nn::TanhImpl), from_neg1to1}};
  const auto found = fixed.find(type);
  if (found == fixed.end() || is_fixed(qconfig.activation)) return qconfig.activation;
  return is_training ? found->second.fake_quant : found->second.observer;
}

bool is_embedding(std::type_index type) {
  return type == typeid(torch::nn::EmbeddingImpl) || type == typeid(torch::nn::EmbeddingBagImpl);
}

/// Why this qconfig can't be had for a module of that class; empty if it can.
std::string why_unsuitable(const ModuleSite& site, const QConfig& qconfig) {
  if (is_weight_only(site, qconfig)) return "";
  if (is_embedding(site.float_type())) {
    return qconfig.weight.qscheme() == per_channel_affine_float_qparams
               ? ""
               : "its qconfig has no float qparams for the weight; embeddings want float_qparams_weight_only_qconfig, or " +
                     std::string("default_embedding_qat_qconfig for training");
  }
  if (qconfig.weight.target().group_size > 0) return "its qconfig has weights in groups, which are for Linear and LinearReLU";
  if (!info(qconfig.activation.dtype()).is_quantized || qconfig.activation.is_dynamic()) {
    return "its qconfig's activation " + qconfig.activation.name() + " is for dynamic or no quantization of activations";
  }
  return "";
}

bool is_allowed(const ModuleSite& site, const PrepareOptions& options) {
  const ModuleType current(site.current_type()), plain(site.float_type());
  if (options.allow_list()) {
    return std::any_of(options.allow_list()->begin(), options.allow_list()->end(),
                       [&](const ModuleType& type) { return type.matches(current) || type.matches(plain); });
  }
  return default_static_quant_module_mappings().find(site.current_type()) ||
         options.float_to_observed_custom_module_class().find(site.current_type());
}

/// Whether it looks at its input, so that there is nothing to observe at the output.
bool observes_input(const nn::ImplementationBase& implementation) {
  const auto children = implementation.slot_children();
  return std::find(children.begin(), children.end(), nn::qat::dynamic::LinearImpl::kInputFakeQuant) != children.end();
}

std::string description(const Preparation& preparation) {
  std::string text = preparation.implementation ? preparation.implementation->kind() : "";
  if (preparation.observer) text += (text.empty() ? "" : ", ") + preparation.observer->name();
  return text.empty() ? "nothing to observe" : text;
}

}  // namespace

std::vector<Preparation> plan_preparations(std::vector<ModuleSite>& sites, const QConfigMapping& qconfig_mapping,
                                           const PrepareOptions& options, const ModuleMappings* trained_forms,
                                           std::string_view workflow, Report& report) {
  check_paths(qconfig_mapping, sites, workflow);
  std::vector<Preparation> preparations;
  const auto trained_form = [&](const ModuleSite& site) {
    return trained_forms ? trained_forms->find(site.current_type()) : nullptr;
  };
  const auto allows = [&](const ModuleSite& site) {
    return is_allowed(site, options) || (!options.allow_list() && trained_form(site));
  };
  for_each_open_site(sites, report, allows, [&](ModuleSite& site, const auto& add) {
    if (!allows(site)) return add(ModuleStatus::kept, options.allow_list() ? "not in the allow_list" : why_not_quantized(site));
    auto match = qconfig_mapping.find(site.path(), {ModuleType(site.current_type()), ModuleType(site.float_type())});
    const bool was_prepared = site.slot() && site.slot()->forward_passes();
    if (site.slot() && site.slot()->qconfig() && !was_prepared) match = {site.slot()->qconfig(), "the slot itself"};
    if (!match.qconfig) return add(ModuleStatus::kept, why_without_qconfig(match));

    const QConfig& qconfig = *match.qconfig;
    const auto* const trained = trained_form(site);
    const std::string unsuitable = why_unsuitable(site, qconfig);
    const bool may_observe_input = trained && qconfig.activation.is_dynamic();
    if (!unsuitable.empty() && !may_observe_input) return add(ModuleStatus::kept, unsuitable);
    if (!site.swappable()) return add(ModuleStatus::not_swappable, how_to_make_swappable(site));

    Preparation preparation{&site, qconfig, nullptr, nullptr};
    const auto* const observed = options.float_to_observed_custom_module_class().find(site.current_type());
    if (trained || observed) {
      preparation.implementation = (trained ? *trained : *observed)(site.module(), qconfig, site.path());
      site.check_swap(*preparation.implementation);
    }
    const bool has_input_observer = preparation.implementation && observes_input(*preparation.implementation);
    if (!unsuitable.empty() && !has_input_observer) return add(ModuleStatus::kept, unsuitable);
    const bool has_no_observer = is_without_observer(site.float_type()) || is_weight_only(site, qconfig);
    if (!has_input_observer && !has_no_observer && (trained || !observed)) {
      preparation.observer = activation_of(site.float_type(), qconfig, trained_forms != nullptr)();
    }
    add(ModuleStatus::observed, description(preparation));
    preparations.push_back(std::move(preparation));
  });
  check(!preparations.empty(), workflow, ": no module of the model gets a qconfig, so nothing would be quantized:\n", report);
  return preparations;
}

void apply_preparations(std::vector<Preparation> preparations, torch::nn::Module& model) {
  const auto passes = std::make_shared<nn::ForwardPasses>();
  const auto parameters = model.parameters();
  for (Preparation& preparation : preparations) {
    nn::SlotBase& slot = preparation.site->make_slot();
    if (preparation.implementation) slot.set_implementation(std::move(preparation.implementation));
    if (preparation.observer && !parameters.empty()) preparation.observer->to(parameters.front().device());
    const auto former = slot.activation_post_process();
    auto* const fake_quantize = dynamic_cast<FakeQuantizeBase*>(preparation.observer.get());
    if (former && former->is_calibrated() && fake_quantize) fake_quantize->start_from(*former);
    if (preparation.observer) slot.set_activation_post_process(std::move(preparation.observer));
    slot.set_qconfig(std::move(preparation.qconfig));
    slot.set_forward_passes(passes);
  }
}

}  // namespace octet
