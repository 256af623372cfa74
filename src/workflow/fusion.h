// What fuse_modules() and fuse_all() have in common: fusing one list of modules.
#pragma once

#include <octet/nn/module_site.h>
#include <octet/workflow/fuser_method_mappings.h>
#include <octet/workflow/report.h>

#include <cstddef>
#include <string>
#include <vector>

namespace octet {

/// "(Conv2d, BatchNorm2d)"
std::string names(const FuserMethodMappings::Sequence& sequence);

/// All sequences of a mapping, sorted.
std::string names(const FuserMethodMappings& mappings);

/// One list of modules, checked, and what becomes of them.
class Fusion {
 public:
  /// Changes nothing. @throws Error, beginning with the modules' paths, if they cannot be fused
  Fusion(std::vector<nn::ModuleSite*> sites, const FuserMethodMappings& mappings);

  /// How many hooks fusing them would lose: those between them, of what is no longer computed then.
  size_t lost_hooks() const { return lost_hooks_; }

  /// Fuses them and adds a row for each.
  void apply(Report& report);

 private:
  std::vector<nn::ModuleSite*> sites_;
  const FuserMethodMappings::Method* method_;
  FusedModule fused_;
  nn::SlotHooks hooks_;
  size_t lost_hooks_ = 0;
};

}  // namespace octet
