#include <octet/nn/module_site.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/workflow/quantize_dynamic.h>

#include <workflow/site_rows.h>

#include <torch/nn/modules/embedding.h>

#include <array>
#include <typeindex>
#include <utility>

namespace octet {
namespace {

/// What quantize_dynamic does for a dtype when it is not told otherwise.
struct DynamicDefault {
  DType dtype;
  QConfig qconfig;
  std::initializer_list<const char*> types;
};

constexpr std::initializer_list<const char*> kLinearTypes{"Linear",   "LinearReLU", "LSTM",   "GRU",
                                                          "LSTMCell", "GRUCell",    "RNNCell"};
constexpr std::initializer_list<const char*> kEmbeddingTypes{"Embedding", "EmbeddingBag"};

const DynamicDefault& dynamic_default(DType dtype) {
  static const std::array<DynamicDefault, 5> defaults{{
      {qint8, default_dynamic_qconfig, kLinearTypes},
      {float16, float16_dynamic_qconfig, kLinearTypes},
      {quint8, float_qparams_weight_only_qconfig, kEmbeddingTypes},
      {quint4x2, float_qparams_weight_only_qconfig_4bit, kEmbeddingTypes},
      {quint2x4, float_qparams_weight_only_qconfig_2bit, kEmbeddingTypes},
  }};
  for (const DynamicDefault& entry : defaults) {
    if (entry.dtype == dtype) return entry;
  }
  fail("quantize_dynamic: got dtype ", dtype, ", expected qint8 or float16, or quint8, quint4x2 or quint2x4 for embeddings");
}

/// An embedding looks rows up and has no sums over groups of inputs.
bool is_embedding_with_groups(const nn::ModuleSite& site, const QConfig& qconfig) {
  const std::type_index type = site.float_type();
  return qconfig.weight.target().group_size > 0 &&
         (type == typeid(torch::nn::EmbeddingImpl) || type == typeid(torch::nn::EmbeddingBagImpl));
}

}  // namespace

QConfigMapping QConfigSpec::resolve(DType dtype) const {
  if (mapping_) return *mapping_;
  const DynamicDefault& chosen = dynamic_default(dtype);
  QConfigMapping mapping;
  if (!choices_) {
    for (const char* type : chosen.types) mapping.set_object_type(ModuleType(type), chosen.qconfig);
    return mapping;
  }
  for (const Choice& choice : *choices_) {
    if (const auto* const type = std::get_if<ModuleType>(&choice)) {
      mapping.set_object_type(*type, chosen.qconfig);
    } else {
      mapping.set_module_name(std::get<std::string>(choice), chosen.qconfig);
    }
  }
  return mapping;
}

Report quantize_dynamic(torch::nn::Module& model, const QConfigSpec& qconfig_spec, DType dtype, const ModuleMappings& mapping) {
  const QConfigMapping qconfigs = qconfig_spec.resolve(dtype);
  std::vector<nn::ModuleSite> sites = nn::module_sites(model);
  check_paths(qconfigs, sites, "quantize_dynamic");
  Report report;
  Swaps swaps;
  const auto from_float_of = [&](const nn::ModuleSite& site) { return mapping.find(site.current_type()); };
  for_each_open_site(sites, report, from_float_of, [&](nn::ModuleSite& site, const auto& add) {
    const auto* const from_float = from_float_of(site);
    const auto match = qconfigs.find(site.path(), {ModuleType(site.current_type()), ModuleType(site.float_type())});
    if (!match.qconfig) {
      add(ModuleStatus::kept, why_without_qconfig(match));
    } else if (!from_float) {
      add(ModuleStatus::kept, "no dynamically quantized class for " + site.type_name() + "; one can be added to the mapping");
    } else if (is_embedding_with_groups(site, *match.qconfig)) {
      add(ModuleStatus::kept,
          "its qconfig has weights in groups, which are for Linear and recurrent modules; embeddings of 4 bits want "
          "float_qparams_weight_only_qconfig_4bit");
    } else if (!site.swappable()) {
      add(ModuleStatus::not_swappable, how_to_make_swappable(site));
    } else {
      auto implementation = (*from_float)(site.module(), *match.qconfig, site.path());
      add(ModuleStatus::quantized, implementation->kind());
      swaps.add(site, std::move(implementation));
    }
  });
  model.eval();
  swaps.apply();
  return report;
}

}  // namespace octet
