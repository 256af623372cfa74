// What fuse_modules() and fuse_all() have in common: fusing one list of modules.
#pragma once

#include <octet/nn/module_site.h>
#include <octet/workflow/fuser_method_mappings.h>
#include <octet/workflow/report.h>

#include <string>
#include <vector>

namespace octet {

/// "(Conv2d, BatchNorm2d)"
std::string names(const FuserMethodMappings::Sequence& sequence);

/// One list of modules, checked, and what becomes of them.
class Fusion {
 public:
  /// Changes nothing. @throws Error, beginning with the modules' paths, if they cannot be fused
  Fusion(std::vector<nn::ModuleSite*> sites, const FuserMethodMappings& mappings);

  /// Fuses them and adds a row for each.
  void apply(Report& report);

 private:
  std::vector<nn::ModuleSite*> sites_;
  const FuserMethodMappings::Method* method_;
  FusedModule fused_;
};

}  // namespace octet
