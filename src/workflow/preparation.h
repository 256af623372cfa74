// What prepare() and prepare_qat() have in common: who gets an observer, and what else changes.
#pragma once

#include <octet/nn/module_site.h>
#include <octet/observe/qconfig_mapping.h>
#include <octet/workflow/mappings.h>
#include <octet/workflow/prepare.h>
#include <octet/workflow/report.h>

#include <memory>
#include <string_view>
#include <vector>

namespace octet {

/// What will be done to one module.
struct Preparation {
  nn::ModuleSite* site;
  QConfig qconfig;
  std::shared_ptr<ObserverBase> observer;                  // of the output; null: none
  std::shared_ptr<nn::ImplementationBase> implementation;  // an observed or a training form; null: the module computes as before
};

/// Decides for every module and changes nothing.
/// @param trained_forms  for quantization-aware training, else null
/// @throws Error, beginning with the workflow's name, if a rule names a path that the model lacks or no module gets a qconfig
std::vector<Preparation> plan_preparations(std::vector<nn::ModuleSite>& sites, const QConfigMapping& qconfig_mapping,
                                           const PrepareOptions& options, const ModuleMappings* trained_forms,
                                           std::string_view workflow, Report& report);

/// Carries them out. Fake quantizers that take the place of calibrated observers start from what those have seen.
void apply_preparations(std::vector<Preparation> preparations, torch::nn::Module& model);

}  // namespace octet
