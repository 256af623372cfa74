#include <octet/nn/intrinsic_qat.h>
#include <octet/nn/module_site.h>
#include <octet/observe/fake_quantize.h>
#include <octet/tensor/error.h>
#include <octet/workflow/prepare_qat.h>

#include <workflow/preparation.h>
#include <workflow/site_rows.h>

#include <vector>

namespace octet {
namespace {

bool is_trained_with_fake_quantization(const nn::SlotBase& slot) {
  return nn::slot_child(slot.module(), nn::kWeightFakeQuant) ||
         dynamic_cast<const FakeQuantizeBase*>(slot.activation_post_process().get());
}

void check_not_prepared(const std::vector<nn::ModuleSite>& sites) {
  for (const nn::ModuleSite& site : sites) {
    check(!site.slot() || !is_trained_with_fake_quantization(*site.slot()),
          "prepare_qat: the model was prepared for training before (", site.path(),
          " has fake quantization); train it, call eval() and convert() it");
  }
}

}  // namespace

Report prepare_qat(torch::nn::Module& model, const QConfigMapping& qconfig_mapping, const ModuleMappings& mapping,
                   const PrepareOptions& options) {
  check(model.is_training(), "prepare_qat: the model is in eval mode, but quantization-aware training wants train(); ",
        "post-training quantization has prepare()");
  std::vector<nn::ModuleSite> sites = nn::module_sites(model);
  check_not_prepared(sites);
  Report report;
  apply_preparations(plan_preparations(sites, qconfig_mapping, options, &mapping, "prepare_qat", report), model);
  return report;
}

void QATSchedule::begin_epoch(torch::nn::Module& model, int64_t epoch) const {
  model.apply([&](torch::nn::Module& module) {
    if (epoch < num_batch_norm_update_epochs) {
      nn::intrinsic::qat::update_bn_stats(module);
    } else {
      nn::intrinsic::qat::freeze_bn_stats(module);
    }
    if (epoch < num_observer_update_epochs) {
      enable_observer(module);
    } else {
      disable_observer(module);
    }
  });
}

}  // namespace octet
