// Post-training static quantization of one network in many ways.
#pragma once

#include "inputs.h"
#include "progress_bar.h"

#include <octet/octet.h>

#include <cstdint>
#include <string>
#include <vector>

namespace demo {

/// A way to quantize.
struct StaticVariant {
  std::string name;
  octet::QConfig qconfig;
};

/// The default of each backend, then each kind of observer with the weights of backend "octet".
std::vector<StaticVariant> static_variants();

/// One form of a network.
template <class Model>
struct Form {
  std::string variant;
  Model net;
};

/// The network itself as "fp32", and for each variant a clone that is prepared, calibrated on all inputs and converted.
/// @param net  fused, in eval mode; it stays as it is
/// @param report  gets what convert() says of the first variant
template <class Model>
std::vector<Form<Model>> quantize_statically(const Model& net, const std::vector<StaticVariant>& variants,
                                             const Inputs& calibration, octet::Report& report) {
  const torch::NoGradGuard no_grad;
  std::vector<Form<Model>> forms;
  for (const StaticVariant& variant : variants) forms.push_back({variant.name, octet::prepare(net, variant.qconfig)});
  {
    ProgressBar bar("calibration", calibration.size);
    for (int64_t i = 0; i < calibration.size; ++i) {
      const torch::Tensor input = calibration.get(i);
      for (auto& form : forms) form.net->forward(input);
      bar.advance();
    }
  }
  for (size_t i = 0; i < forms.size(); ++i) {
    octet::Report converted = octet::convert(*forms[i].net);
    if (i == 0) report = std::move(converted);
  }
  forms.insert(forms.begin(), {"fp32", net});
  return forms;
}

}  // namespace demo
