// What the reports of the workflows say about modules in the same words.
#pragma once

#include <octet/nn/module_site.h>
#include <octet/observe/qconfig_mapping.h>
#include <octet/workflow/report.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

/// Why a module is no matter for any workflow: it is the same as one before it, part of a fused one, or was swapped for something
/// without float parameters. Null if it is one.
std::optional<ReportRow> row_of_settled(const nn::ModuleSite& site, const Report& report);

/// "a module of torch::nn in a member or list; declare it as octet::nn::Linear"
std::string how_to_make_swappable(const nn::ModuleSite& site);

/// Why a module that has no statically quantized class stays as it is.
std::string why_not_quantized(const nn::ModuleSite& site);

/// "no qconfig for it", "null qconfig by module_name 'fc'"
std::string why_without_qconfig(const QConfigMapping::Match& match);

/// @throws Error, beginning with the workflow's name, if a rule names a path that the model does not have
void check_paths(const QConfigMapping& qconfigs, const std::vector<nn::ModuleSite>& sites, std::string_view workflow);

}  // namespace octet
