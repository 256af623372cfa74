#include <octet/nn/intrinsic.h>
#include <octet/observe/qconfig_mapping.h>
#include <octet/tensor/error.h>

#include <workflow/fusion.h>
#include <workflow/site_rows.h>

#include <c10/util/StringUtil.h>

#include <memory>
#include <set>
#include <utility>

namespace octet {
namespace {

using nn::ModuleSite;

void check_float(const ModuleSite& site) {
  const auto implementation = site.slot() ? site.slot()->implementation() : nullptr;
  check(!implementation, "\"", site.path(), "\" has been swapped for ", implementation ? implementation->kind() : "",
        " before; fuse the float model, once");
  check(site.swappable(), "\"", site.path(), "\" is ", how_to_make_swappable(site));
}

nn::SlotHooks hooks_of(const ModuleSite& site) { return site.slot() ? site.slot()->hooks() : nn::SlotHooks(); }

}  // namespace

std::string names(const FuserMethodMappings::Sequence& sequence) {
  std::vector<std::string> types;
  for (const std::type_index type : sequence) types.push_back(ModuleType(type).name());
  return c10::str("(", c10::Join(", ", types), ")");
}

std::string names(const FuserMethodMappings& mappings) {
  std::set<std::string> all;
  for (const auto& [sequence, method] : mappings.methods()) all.insert(names(sequence));
  return c10::Join(", ", all);
}

Fusion::Fusion(std::vector<ModuleSite*> sites, const FuserMethodMappings& mappings) : sites_(std::move(sites)) {
  FuserMethodMappings::Sequence sequence;
  std::vector<const torch::nn::Module*> modules;
  std::vector<std::string> paths;
  for (const ModuleSite* const site : sites_) {
    check_float(*site);
    lost_hooks_ += hooks_of(*site).size();
    sequence.push_back(site->float_type());
    modules.push_back(&site->module());
    paths.push_back(site->path());
  }
  const std::string list = c10::str("(\"", c10::Join("\", \"", paths), "\")");
  method_ = mappings.find(sequence);
  check(method_ != nullptr, "nothing is known that fuses ", names(sequence), " ", list, "; known: ", names(mappings));
  try {
    fused_ = method_->fuse(modules);
  } catch (const Error& error) {
    fail(names(sequence), " ", list, ": ", error.what());
  }
  if (fused_.implementation) sites_.front()->check_swap(*fused_.implementation);
  for (size_t i = 1; i < sites_.size(); ++i) sites_[i]->check_swap(nn::intrinsic::IdentityImpl());
  hooks_ = {hooks_of(*sites_.front()).forward_pre, hooks_of(*sites_.back()).forward};
  lost_hooks_ -= hooks_.size();
}

void Fusion::apply(Report& report) {
  ModuleSite& first = *sites_.front();
  std::vector<std::string> types;
  for (const ModuleSite* const site : sites_) {
    types.push_back(site->type_name());
    if (site->slot()) site->slot()->set_hooks({});
  }
  if (hooks_.size() > 0) first.make_slot().set_hooks(std::move(hooks_));
  method_->assign(first.module(), fused_);
  if (fused_.implementation) first.swap(std::move(fused_.implementation));
  std::string detail = c10::str("computes for ", sites_.size(), " modules, as ", first.type_name());
  if (lost_hooks_ > 0) detail += c10::str("; ", lost_hooks_, " hooks between them are gone");
  report.add({first.path(), types[0], ModuleStatus::fused, std::move(detail)});
  for (size_t i = 1; i < sites_.size(); ++i) {
    sites_[i]->swap(std::make_shared<nn::intrinsic::IdentityImpl>());
    report.add({sites_[i]->path(), types[i], ModuleStatus::fused, "Identity; part of " + first.path()});
  }
}

}  // namespace octet
