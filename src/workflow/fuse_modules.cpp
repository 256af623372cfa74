#include <octet/nn/module_site.h>
#include <octet/tensor/error.h>
#include <octet/workflow/fuse_modules.h>

#include <workflow/fusion.h>

#include <algorithm>
#include <set>

namespace octet {
namespace {

using nn::ModuleSite;

/// The sites of one list. @throws Error for paths that are unknown or were used before
std::vector<ModuleSite*> find_sites(std::vector<ModuleSite>& sites, const std::vector<std::string>& paths,
                                    std::set<const torch::nn::Module*>& used) {
  std::vector<ModuleSite*> found;
  for (const std::string& path : paths) {
    const auto site = std::find_if(sites.begin(), sites.end(), [&](const ModuleSite& place) { return place.path() == path; });
    check(site != sites.end(), "the model has no module \"", path, "\"");
    check(used.insert(&site->module()).second, "\"", path, "\" appears twice; a module can be fused once");
    found.push_back(&*site);
  }
  return found;
}

}  // namespace

Report fuse_modules(torch::nn::Module& model, const ModulesToFuse& modules_to_fuse, const FuserMethodMappings& mappings) {
  std::vector<ModuleSite> sites = nn::module_sites(model);
  std::set<const torch::nn::Module*> used;
  std::vector<Fusion> fusions;
  try {
    for (const auto& paths : modules_to_fuse) fusions.emplace_back(find_sites(sites, paths, used), mappings);
  } catch (const Error& error) {
    fail("fuse_modules: ", error.what());
  }
  Report report;
  for (Fusion& fusion : fusions) fusion.apply(report);
  return report;
}

}  // namespace octet
