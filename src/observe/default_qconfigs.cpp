#include <octet/observe/default_qconfigs.h>

#include <algorithm>
#include <array>
#include <string>

namespace octet {
namespace {

// What tells the backends apart.
struct Backend {
  std::string_view name;
  bool reduce_range;  // of activations
  bool per_channel;   // weights
};

constexpr std::array kBackends{
    Backend{.name = "fbgemm", .reduce_range = true, .per_channel = true},
    Backend{.name = "x86", .reduce_range = true, .per_channel = true},
    Backend{.name = "qnnpack", .reduce_range = false, .per_channel = false},
    Backend{.name = "onednn", .reduce_range = false, .per_channel = true},
    Backend{.name = "octet", .reduce_range = false, .per_channel = true},
};

const Backend& backend_named(std::string_view function, std::string_view name) {
  const auto found = std::find_if(kBackends.begin(), kBackends.end(), [&](const auto& backend) { return backend.name == name; });
  if (found != kBackends.end()) return *found;
  std::string known;
  for (const auto& backend : kBackends) known += (known.empty() ? "" : ", ") + std::string(backend.name);
  fail(function, ": there is no backend '", name, "'; known are ", known);
}

}  // namespace

QConfig int4_weight_only_qconfig(int64_t group_size, QScheme qscheme) {
  check(group_size == 32 || group_size == 64 || group_size == 128, "int4_weight_only_qconfig: group_size is ", group_size,
        ", expected 32, 64 or 128");
  check(qscheme == per_channel_affine || qscheme == per_channel_symmetric, "int4_weight_only_qconfig: qscheme is ", qscheme,
        ", expected per_channel_affine or per_channel_symmetric, each of a group");
  return {default_placeholder_observer,
          PerGroupMinMaxObserver::with_args(PerGroupMinMaxObserverOptions().qscheme(qscheme).group_size(group_size))};
}

QConfig get_default_qconfig(std::string_view backend, int version) {
  const auto& [_, reduce_range, per_channel] = backend_named("get_default_qconfig", backend);
  check(version == 0, "get_default_qconfig: there is no version ", version, "; known is 0");
  return {HistogramObserver::with_args(HistogramObserverOptions().reduce_range(reduce_range)),
          per_channel ? default_per_channel_weight_observer : default_weight_observer};
}

QConfig get_default_qat_qconfig(std::string_view backend, int version) {
  const auto& [_, reduce_range, per_channel] = backend_named("get_default_qat_qconfig", backend);
  check(version == 0 || version == 1, "get_default_qat_qconfig: there is no version ", version, "; known are 0, 1");
  const auto activations = MovingAverageMinMaxObserver::with_args(
      MovingAverageMinMaxObserverOptions().quant_min(0).quant_max(255).reduce_range(reduce_range));
  if (version == 0) {
    return {FakeQuantize::with_args(activations),
            per_channel ? default_per_channel_weight_fake_quant : default_weight_fake_quant};
  }
  return {FusedMovingAvgObsFakeQuantize::with_args(activations),
          per_channel ? default_fused_per_channel_wt_fake_quant : default_fused_wt_fake_quant};
}

}  // namespace octet
