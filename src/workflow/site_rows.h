// What the workflows have in common: how they go through a model's modules, and what they say about them in the same words.
#pragma once

#include <octet/nn/implementation.h>
#include <octet/nn/module_site.h>
#include <octet/observe/qconfig_mapping.h>
#include <octet/workflow/report.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace octet {

/// Why a module is no matter for any workflow: it is the same as one before it, part of a fused one, or was swapped for something
/// without float parameters. Null if it is one.
std::optional<ReportRow> row_of_settled(const nn::ModuleSite& site, const Report& report);

/// Calls visit(site, add) for each module that a workflow has to decide about: those that compute something or that the workflow
/// knows, but for settled ones, whose rows are added. `add(status, detail)` adds the row of the site.
/// @param is_known  bool(site)
template <class IsKnown, class Visit>
void for_each_open_site(std::vector<nn::ModuleSite>& sites, Report& report, const IsKnown& is_known, const Visit& visit) {
  for (nn::ModuleSite& site : sites) {
    if (!site.computes() && !is_known(site)) continue;
    if (const auto settled = row_of_settled(site, report)) {
      report.add(*settled);
      continue;
    }
    visit(site, [&](ModuleStatus status, std::string detail) {
      report.add({site.path(), site.type_name(), status, std::move(detail)});
    });
  }
}

/// Modules to be swapped, and what for.
class Swaps {
 public:
  /// @throws Error if the implementation does not fit there
  void add(nn::ModuleSite& site, std::shared_ptr<nn::ImplementationBase> implementation) {
    site.check_swap(*implementation);
    swaps_.emplace_back(&site, std::move(implementation));
  }

  /// Swaps them all.
  void apply() {
    for (auto& [site, implementation] : swaps_) site->swap(std::move(implementation));
  }

 private:
  std::vector<std::pair<nn::ModuleSite*, std::shared_ptr<nn::ImplementationBase>>> swaps_;
};

/// @throws Error, beginning with the workflow's name, if a module is in training mode
/// @param way_out  how the text ends
void check_eval_mode(const std::vector<nn::ModuleSite>& sites, std::string_view workflow,
                     std::string_view way_out = "call eval() on the model first");

/// @throws Error, beginning with the workflow's name, unless prepare() was called for the model
void check_prepared(const std::vector<nn::ModuleSite>& sites, std::string_view workflow);

/// "a module of torch::nn in a member or list; declare it as octet::nn::Linear"
std::string how_to_make_swappable(const nn::ModuleSite& site);

/// Whether convert() gives the module weights in groups: it takes and returns floats, so there is nothing to observe.
bool is_weight_only(const nn::ModuleSite& site, const QConfig& qconfig);

/// Why a module that has no statically quantized class stays as it is.
std::string why_not_quantized(const nn::ModuleSite& site);

/// "no qconfig for it", "null qconfig by module_name 'fc'"
std::string why_without_qconfig(const QConfigMapping::Match& match);

/// @throws Error, beginning with the workflow's name, if a rule names a path that the model does not have
void check_paths(const QConfigMapping& qconfigs, const std::vector<nn::ModuleSite>& sites, std::string_view workflow);

}  // namespace octet
