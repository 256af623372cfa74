#include <octet/nn/module_site.h>
#include <octet/tensor/error.h>
#include <octet/workflow/prepare.h>

#include <workflow/preparation.h>
#include <workflow/site_rows.h>

#include <vector>

namespace octet {
namespace {

void check_not_prepared(const std::vector<nn::ModuleSite>& sites) {
  for (const nn::ModuleSite& site : sites) {
    check(!site.slot() || !site.slot()->forward_passes(), "prepare: the model was prepared before (", site.path(),
          " has its qconfig); calibrate it and convert() it");
  }
}

}  // namespace

Report prepare(torch::nn::Module& model, const QConfigMapping& qconfig_mapping, const PrepareOptions& options) {
  std::vector<nn::ModuleSite> sites = nn::module_sites(model);
  check_eval_mode(sites, "prepare", "post-training quantization wants eval(), quantization-aware training prepare_qat()");
  check_not_prepared(sites);
  Report report;
  apply_preparations(plan_preparations(sites, qconfig_mapping, options, nullptr, "prepare", report), model);
  return report;
}

}  // namespace octet
