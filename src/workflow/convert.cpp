#include <octet/nn/module_site.h>
#include <octet/workflow/convert.h>

#include <workflow/site_rows.h>

#include <optional>
#include <utility>
#include <vector>

namespace octet {
namespace {

using nn::ModuleSite;

/// Takes away what prepare() put there.
void clean(nn::SlotBase& slot) {
  slot.set_activation_post_process(nullptr);
  slot.set_qconfig(std::nullopt);
  slot.set_forward_passes(nullptr);
}

}  // namespace

Report convert(torch::nn::Module& model, const ModuleMappings& mapping) {
  std::vector<ModuleSite> sites = nn::module_sites(model);
  check_prepared(sites, "convert");
  check_eval_mode(sites, "convert");
  Report report;
  Swaps swaps;
  const auto from_float_of = [&](const ModuleSite& site) { return mapping.find(site.current_type()); };
  for_each_open_site(sites, report, from_float_of, [&](ModuleSite& site, const auto& add) {
    const auto* const from_float = from_float_of(site);
    const auto qconfig = site.slot() ? site.slot()->qconfig() : std::nullopt;
    if (!from_float) {
      add(ModuleStatus::kept, why_not_quantized(site));
    } else if (!site.swappable()) {
      add(ModuleStatus::not_swappable, how_to_make_swappable(site));
    } else if (!qconfig) {
      add(ModuleStatus::kept, "prepare() gave it no qconfig");
    } else {
      auto implementation = (*from_float)(site.module(), *qconfig, site.path());
      add(ModuleStatus::quantized, implementation->kind());
      swaps.add(site, std::move(implementation));
    }
  });
  swaps.apply();
  for (const ModuleSite& site : sites) {
    if (site.slot()) clean(*site.slot());
  }
  return report;
}

}  // namespace octet
