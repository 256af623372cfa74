#include <octet/models/fusible_module.h>
#include <octet/nn/module_site.h>

#include <utility>

namespace octet::models {

Report fuse_model(torch::nn::Module& model) {
  ModulesToFuse all;
  for (const nn::ModuleSite& site : nn::module_sites(model)) {
    const auto* const fusible = dynamic_cast<const FusibleModule*>(&site.module());
    if (!fusible || site.same_as()) continue;
    for (auto& paths : fusible->modules_to_fuse()) {
      if (!site.path().empty()) {
        for (std::string& path : paths) path.insert(0, site.path() + ".");
      }
      all.push_back(std::move(paths));
    }
  }
  return model.is_training() ? fuse_modules_qat(model, all) : fuse_modules(model, all);
}

}  // namespace octet::models
