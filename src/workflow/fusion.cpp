#include <octet/nn/intrinsic.h>
#include <octet/tensor/error.h>

#include <workflow/fusion.h>
#include <workflow/site_rows.h>

#include <c10/util/StringUtil.h>

#include <memory>
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

/// Moves the hooks as torch.ao does: the first module keeps its forward pre-hooks and gets the forward hooks of the last one.
/// What the others saw is no longer computed. @return how many hooks are gone with that
size_t move_hooks(const std::vector<ModuleSite*>& sites) {
  std::vector<nn::SlotHooks> hooks;
  size_t count = 0;
  for (const ModuleSite* const site : sites) {
    hooks.push_back(site->slot() ? site->slot()->take_hooks() : nn::SlotHooks());
    count += hooks.back().size();
  }
  nn::SlotHooks kept{std::move(hooks.front().forward_pre), std::move(hooks.back().forward)};
  count -= kept.size();
  if (kept.size() > 0) sites.front()->make_slot().set_hooks(std::move(kept));
  return count;
}

}  // namespace

Fusion::Fusion(std::vector<ModuleSite*> sites, const FuserMethodMappings& mappings) : sites_(std::move(sites)) {
  FuserMethodMappings::Sequence sequence;
  std::vector<const torch::nn::Module*> modules;
  std::vector<std::string> paths;
  for (const ModuleSite* const site : sites_) {
    check_float(*site);
    sequence.push_back(site->float_type());
    modules.push_back(&site->module());
    paths.push_back(site->path());
  }
  const std::string list = c10::str("(\"", c10::Join("\", \"", paths), "\")");
  method_ = mappings.find(sequence);
  check(method_ != nullptr, "nothing is known that fuses ", names(sequence), " ", list, "; known: ", mappings.names());
  try {
    fused_ = method_->fuse(modules);
  } catch (const Error& error) {
    fail(names(sequence), " ", list, ": ", error.what());
  }
  if (fused_.implementation) sites_.front()->check_swap(*fused_.implementation);
  for (size_t i = 1; i < sites_.size(); ++i) sites_[i]->check_swap(nn::intrinsic::IdentityImpl());
}

void Fusion::apply(Report& report) {
  ModuleSite& first = *sites_.front();
  std::vector<std::string> types;
  for (const ModuleSite* const site : sites_) types.push_back(site->type_name());
  const size_t lost_hooks = move_hooks(sites_);
  method_->assign(first.module(), fused_);
  if (fused_.implementation) first.swap(std::move(fused_.implementation));
  std::string detail = c10::str("computes for ", sites_.size(), " modules, as ", first.type_name());
  if (lost_hooks > 0) detail += c10::str("; ", lost_hooks, " hooks between them are gone");
  report.add({first.path(), types[0], ModuleStatus::fused, std::move(detail)});
  for (size_t i = 1; i < sites_.size(); ++i) {
    sites_[i]->swap(std::make_shared<nn::intrinsic::IdentityImpl>());
    report.add({sites_[i]->path(), types[i], ModuleStatus::fused, "Identity; part of " + first.path()});
  }
}

}  // namespace octet
