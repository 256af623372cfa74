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

/// @param check_site  throws an Error for a module that this workflow does not take
template <class CheckSite>
Report fuse(torch::nn::Module& model, const ModulesToFuse& modules_to_fuse, const FuserMethodMappings& mappings,
            const char* workflow, const CheckSite& check_site) {
  std::vector<ModuleSite> sites = nn::module_sites(model);
  std::set<const torch::nn::Module*> used;
  std::vector<Fusion> fusions;
  try {
    for (const auto& paths : modules_to_fuse) {
      const std::vector<ModuleSite*> found = find_sites(sites, paths, used);
      for (const ModuleSite* const site : found) check_site(*site);
      fusions.emplace_back(found, mappings);
    }
  } catch (const Error& error) {
    fail(workflow, ": ", error.what());
  }
  Report report;
  for (Fusion& fusion : fusions) fusion.apply(report);
  return report;
}

}  // namespace

Report fuse_modules(torch::nn::Module& model, const ModulesToFuse& modules_to_fuse, const FuserMethodMappings& mappings) {
  return fuse(model, modules_to_fuse, mappings, "fuse_modules", [](const ModuleSite&) {});
}

Report fuse_modules_qat(torch::nn::Module& model, const ModulesToFuse& modules_to_fuse, const FuserMethodMappings& mappings) {
  return fuse(model, modules_to_fuse, mappings, "fuse_modules_qat", [](const ModuleSite& site) {
    check(site.module().is_training(), "\"", site.path(), "\" is in eval mode, but this fuses for training; call train() on the ",
          "model first, or fuse_modules() for post-training quantization");
  });
}

}  // namespace octet
