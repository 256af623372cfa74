#include "static_quantization.h"

namespace demo {

std::vector<StaticVariant> static_variants() {
  std::vector<StaticVariant> variants;
  for (const std::string backend : {"octet", "x86", "fbgemm", "qnnpack", "onednn"}) {
    variants.push_back({"static_" + backend, octet::get_default_qconfig(backend)});
  }
  const std::pair<std::string, octet::ObserverFactory> observers[] = {{"minmax", octet::MinMaxObserver::with_args()},
                                                                      {"histogram", octet::HistogramObserver::with_args()},
                                                                      {"kl", octet::EntropyObserver::with_args()},
                                                                      {"percentile", octet::PercentileObserver::with_args()},
                                                                      {"mse", octet::MSEObserver::with_args()}};
  for (const auto& [name, activation] : observers) {
    variants.push_back({"static_octet_" + name, {activation, octet::get_default_qconfig("octet").weight}});
  }
  return variants;
}

}  // namespace demo
