#include <octet/nn/intrinsic.h>
#include <octet/nn/trained_parameters.h>
#include <octet/tensor/error.h>

#include <workflow/site_rows.h>

#include <algorithm>
#include <array>
#include <typeindex>

namespace octet {
namespace {

/// The modules of torch::nn whose function the quantized tensors know: order-preserving, averaging, or of one number.
constexpr std::array<std::string_view, 33> kComputeOnQuantizedTensors{
    "ReLU",           "Hardtanh",       "Identity",          "Flatten",           "Unflatten",         "PixelShuffle",
    "PixelUnshuffle", "MaxPool1d",      "MaxPool2d",         "MaxPool3d",         "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AvgPool1d",      "AvgPool2d",      "AvgPool3d",         "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d",
    "Upsample",       "Dropout2d",      "Dropout3d",         "ConstantPad1d",     "ConstantPad2d",     "ConstantPad3d",
    "ZeroPad1d",      "ZeroPad2d",      "ZeroPad3d",         "ReflectionPad1d",   "ReflectionPad2d",   "ReflectionPad3d",
    "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d"};

}  // namespace

std::optional<ReportRow> row_of_settled(const nn::ModuleSite& site, const Report& report) {
  const auto row = [&](ModuleStatus status, std::string detail) {
    return ReportRow{site.path(), site.type_name(), status, std::move(detail)};
  };
  if (const std::string* const same_as = site.same_as()) {
    const ReportRow* const first = report.find(*same_as);
    return row(first ? first->status : ModuleStatus::kept, "the same module as " + *same_as);
  }
  const auto implementation = site.slot() ? site.slot()->implementation() : nullptr;
  if (!implementation || implementation->keeps_float_module()) return std::nullopt;
  if (std::dynamic_pointer_cast<nn::intrinsic::IdentityImpl>(implementation)) {
    return row(ModuleStatus::fused, "Identity; part of the module that it was fused into");
  }
  return row(ModuleStatus::kept, "was " + implementation->kind() + " before");
}

void check_eval_mode(const std::vector<nn::ModuleSite>& sites, std::string_view workflow, std::string_view way_out) {
  for (const nn::ModuleSite& site : sites) {
    check(!site.module().is_training(), workflow, ": ", site.path().empty() ? "the model" : site.path(), " is in training mode; ",
          way_out);
  }
}

void check_prepared(const std::vector<nn::ModuleSite>& sites, std::string_view workflow) {
  const bool prepared = std::any_of(sites.begin(), sites.end(),
                                    [](const nn::ModuleSite& site) { return site.slot() && site.slot()->forward_passes(); });
  check(prepared, workflow, ": the model is not prepared; call prepare() and calibrate it first");
}

std::string how_to_make_swappable(const nn::ModuleSite& site) {
  return "a module of torch::nn in a member or list; declare it as octet::nn::" + site.type_name();
}

bool is_weight_only(const nn::ModuleSite& site, const QConfig& qconfig) {
  const std::type_index type = site.current_type();
  return qconfig.weight.target().group_size > 0 &&
         (type == typeid(torch::nn::LinearImpl) || type == typeid(nn::intrinsic::LinearReLUImpl));
}

std::string why_not_quantized(const nn::ModuleSite& site) {
  const std::string type = site.type_name();
  if (std::find(kComputeOnQuantizedTensors.begin(), kComputeOnQuantizedTensors.end(), type) != kComputeOnQuantizedTensors.end()) {
    return "needs nothing: " + type + " computes on quantized tensors as it is";
  }
  if (site.slot() && nn::slot_child(site.module(), nn::kBatchNorm)) {
    return "fused for training, with its batch norm; prepare_qat() takes it, or fuse_modules() in eval mode before prepare()";
  }
  return "no statically quantized class for " + type + "; one can be added to the mapping";
}

std::string why_without_qconfig(const QConfigMapping::Match& match) {
  return match.rule.empty() ? "no qconfig for it" : "null qconfig by " + match.rule;
}

void check_paths(const QConfigMapping& qconfigs, const std::vector<nn::ModuleSite>& sites, std::string_view workflow) {
  for (const std::string& name : qconfigs.module_names()) {
    if (std::any_of(sites.begin(), sites.end(), [&](const auto& site) { return site.path() == name; })) continue;
    std::string known;
    for (const auto& site : sites) known += (known.empty() ? "" : ", ") + site.path();
    fail(workflow, ": the qconfig names the module \"", name, "\", which the model does not have; its modules are: ", known);
  }
}

}  // namespace octet
