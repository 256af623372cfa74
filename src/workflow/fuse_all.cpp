#include <octet/nn/module_site.h>
#include <octet/tensor/error.h>
#include <octet/workflow/fuse_all.h>

#include <workflow/forward_watch.h>
#include <workflow/fusion.h>
#include <workflow/site_rows.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

namespace octet {
namespace {

using nn::ModuleSite;

/// "a", "a and b", "a, b and c"
std::string enumerate(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  }
  return text;
}

bool mentions(const FuserMethodMappings& mappings, std::type_index type) {
  return std::any_of(mappings.methods().begin(), mappings.methods().end(), [&](const auto& entry) {
    return std::find(entry.first.begin(), entry.first.end(), type) != entry.first.end();
  });
}

/// Finds chains of modules in what was seen of a forward pass, and says why others are none.
class Chains {
 public:
  Chains(std::vector<ModuleSite>& sites, std::vector<ModuleUse> uses, const FuserMethodMappings& mappings)
      : sites_(sites), uses_(std::move(uses)), mappings_(mappings), refusals_(sites.size()) {}

  /// The longest known sequences, from the beginnings of chains on.
  std::vector<Fusion> find_fusions() {
    std::set<size_t> followers;
    for (size_t i = 0; i < sites_.size(); ++i) {
      if (const auto next = follower(i)) followers.insert(*next);
    }
    std::vector<Fusion> fusions;
    for (size_t i = 0; i < sites_.size(); ++i) {
      if (!followers.contains(i)) fuse_along(chain_from(i), fusions);
    }
    return fusions;
  }

  /// The row of a module that was not fused.
  ReportRow row(size_t module, const Report& report) const {
    const ModuleSite& site = sites_[module];
    if (const auto settled = row_of_settled(site, report)) return *settled;
    const auto row = [&](ModuleStatus status, std::string detail) {
      return ReportRow{site.path(), site.type_name(), status, std::move(detail)};
    };
    if (!site.swappable()) return row(ModuleStatus::not_swappable, how_to_make_swappable(site));
    return row(ModuleStatus::kept, why_not_fused(module));
  }

 private:
  bool begins_sequence(std::type_index type) const {
    return std::any_of(mappings_.methods().begin(), mappings_.methods().end(),
                       [&](const auto& entry) { return entry.first.front() == type; });
  }

  /// The module that alone takes the outputs of this one, and takes nothing else.
  std::optional<size_t> follower(size_t module) const {
    const ModuleUse& use = uses_[module];
    if (!use.is_unary || use.read_by.size() != 1 || !use.functions.empty() || use.output_outlives_pass) return std::nullopt;
    const size_t next = *use.read_by.begin();
    const bool takes_nothing_else = uses_[next].is_unary && uses_[next].inputs_from.size() == 1 && !uses_[next].has_other_inputs;
    return takes_nothing_else ? std::optional(next) : std::nullopt;
  }

  std::vector<size_t> chain_from(size_t module) const {
    std::vector<size_t> chain{module};
    while (const auto next = follower(chain.back())) chain.push_back(*next);
    return chain;
  }

  void fuse_along(const std::vector<size_t>& chain, std::vector<Fusion>& fusions) {
    for (size_t begin = 0; begin < chain.size();) {
      size_t length = chain.size() - begin;
      while (length > 1 && !fuse({chain.begin() + begin, chain.begin() + begin + length}, fusions)) --length;
      begin += std::max<size_t>(length, 1);
    }
  }

  bool was_fused(size_t module) const { return sites_[module].slot() && sites_[module].slot()->implementation(); }

  bool fuse(const std::vector<size_t>& modules, std::vector<Fusion>& fusions) {
    std::vector<ModuleSite*> sites;
    FuserMethodMappings::Sequence sequence;
    for (const size_t module : modules) {
      if (was_fused(module)) return false;
      sites.push_back(&sites_[module]);
      sequence.push_back(sites_[module].current_type());
    }
    if (!mappings_.find(sequence)) return false;
    try {
      Fusion fusion(std::move(sites), mappings_);
      check(fusion.lost_hooks() == 0, "fusing it with what follows would lose ", fusion.lost_hooks(),
            " hooks; fuse_modules() does it nevertheless");
      fusions.push_back(std::move(fusion));
      return true;
    } catch (const Error& error) {
      if (refusals_[modules[0]].empty()) refusals_[modules[0]] = error.what();
      return false;
    }
  }

  std::string why_not_fused(size_t module) const {
    const ModuleUse& use = uses_[module];
    if (was_fused(module)) return "was fused before";
    if (!use.ran) return "did not run in this forward pass";
    if (!refusals_[module].empty()) return refusals_[module];
    if (begins_sequence(sites_[module].current_type())) return "its output " + why_not_followed(module);
    if (use.inputs_from.empty()) return "its input is not the output of a module, and only modules can be fused";
    if (use.inputs_from.size() > 1 || use.has_other_inputs) return "it is used after " + inputs(use) + kGiveEachItsOwn;
    const size_t before = *use.inputs_from.begin();
    return "the output of " + sites_[before].path() + ", its input, " + why_not_followed(before);
  }

  /// "goes to ..."
  std::string why_not_followed(size_t module) const {
    const ModuleUse& use = uses_[module];
    std::vector<std::string> readers;
    for (const size_t reader : use.read_by) readers.push_back(sites_[reader].path());
    readers.insert(readers.end(), use.functions.begin(), use.functions.end());
    if (readers.empty()) return use.output_outlives_pass ? "is returned or kept by the model" : "is not used";
    if (use.output_outlives_pass) readers.push_back("is returned or kept by the model");
    if (readers.size() > 1) return "goes to " + enumerate(readers);
    if (use.read_by.empty()) return "goes to " + readers[0] + ", a function, and only modules can be fused";
    const size_t next = *use.read_by.begin();
    if (was_fused(next)) return "goes to " + readers[0] + ", which was fused before";
    if (uses_[next].is_unary && (uses_[next].inputs_from.size() > 1 || uses_[next].has_other_inputs)) {
      return "goes to " + readers[0] + ", which is used after " + inputs(uses_[next]) + kGiveEachItsOwn;
    }
    return "goes to " + readers[0] + ", and nothing is known that fuses " +
           names({sites_[module].current_type(), sites_[next].current_type()});
  }

  /// Where a module's inputs come from: "conv1, bn2 and something that is no module"
  std::string inputs(const ModuleUse& use) const {
    std::vector<std::string> names;
    for (const size_t module : use.inputs_from) names.push_back(sites_[module].path());
    if (use.has_other_inputs) names.push_back("something that is no module");
    return enumerate(names);
  }

  static constexpr const char* kGiveEachItsOwn = "; give each place a module of its own";

  std::vector<ModuleSite>& sites_;
  std::vector<ModuleUse> uses_;
  const FuserMethodMappings& mappings_;
  std::vector<std::string> refusals_;  // why the fuser method did not want the sequence that begins there
};

}  // namespace

Report detail::fuse_all(torch::nn::Module& model, const std::function<std::shared_ptr<void>()>& run,
                        const FuserMethodMappings& mappings) {
  check_eval_mode(nn::module_sites(model), "fuse_all");
  std::vector<ModuleUse> uses = watch_forward(model, run);
  std::vector<ModuleSite> sites = nn::module_sites(model);
  Chains chains(sites, std::move(uses), mappings);
  std::vector<bool> is_mentioned;  // by their classes before they are fused
  for (const ModuleSite& site : sites) is_mentioned.push_back(mentions(mappings, site.float_type()));

  Report fused;
  for (Fusion& fusion : chains.find_fusions()) fusion.apply(fused);
  Report report;
  for (size_t i = 0; i < sites.size(); ++i) {
    if (const ReportRow* const row = fused.find(sites[i].path())) {
      report.add(*row);
    } else if (is_mentioned[i]) {
      report.add(chains.row(i, report));
    }
  }
  return report;
}

}  // namespace octet
