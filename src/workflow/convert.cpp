#include <octet/nn/module_site.h>
#include <octet/tensor/error.h>
#include <octet/workflow/convert.h>

#include <workflow/site_rows.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace octet {
namespace {

using nn::ModuleSite;

/// A module to be swapped, and what for.
struct Swap {
  ModuleSite* site;
  std::shared_ptr<nn::ImplementationBase> implementation;
};

void check_mode(const std::vector<ModuleSite>& sites) {
  const bool prepared = std::any_of(sites.begin(), sites.end(),
                                    [](const ModuleSite& site) { return site.slot() && site.slot()->forward_passes(); });
  check(prepared, "convert: the model is not prepared; call prepare() and calibrate it first");
  for (const ModuleSite& site : sites) {
    check(!site.module().is_training(), "convert: ", site.path().empty() ? "the model" : site.path(),
          " is in training mode; call eval() on the model first");
  }
}

/// Takes away what prepare() put there.
void clean(nn::SlotBase& slot) {
  slot.set_activation_post_process(nullptr);
  slot.set_qconfig(std::nullopt);
  slot.set_forward_passes(nullptr);
}

}  // namespace

Report convert(torch::nn::Module& model, const ModuleMappings& mapping) {
  std::vector<ModuleSite> sites = nn::module_sites(model);
  check_mode(sites);
  Report report;
  std::vector<Swap> swaps;
  for (ModuleSite& site : sites) {
    const auto* const from_float = mapping.find(site.current_type());
    if (!site.computes() && !from_float) continue;
    const auto add = [&](ModuleStatus status, std::string detail) {
      report.add({site.path(), site.type_name(), status, std::move(detail)});
    };
    if (const auto settled = row_of_settled(site, report)) {
      report.add(*settled);
      continue;
    }
    const auto qconfig = site.slot() ? site.slot()->qconfig() : std::nullopt;
    if (!from_float) {
      add(ModuleStatus::kept, why_not_quantized(site));
    } else if (!site.swappable()) {
      add(ModuleStatus::not_swappable, how_to_make_swappable(site));
    } else if (!qconfig) {
      add(ModuleStatus::kept, "prepare() gave it no qconfig");
    } else {
      auto implementation = (*from_float)(site.module(), *qconfig, site.path());
      site.check_swap(*implementation);
      add(ModuleStatus::quantized, implementation->kind());
      swaps.push_back({&site, std::move(implementation)});
    }
  }
  for (Swap& swap : swaps) swap.site->swap(std::move(swap.implementation));
  for (const ModuleSite& site : sites) {
    if (site.slot()) clean(*site.slot());
  }
  return report;
}

}  // namespace octet
