#include "weight_bytes.h"

#include <octet/nn/module_site.h>

namespace demo {

int64_t weight_bytes(torch::nn::Module& model) {
  int64_t bytes = 0;
  for (const auto& parameter : model.parameters()) bytes += static_cast<int64_t>(parameter.nbytes());
  for (const auto& site : octet::nn::module_sites(model)) {
    if (site.slot() && site.slot()->implementation()) bytes += site.slot()->implementation()->weight_bytes();
  }
  return bytes;
}

}  // namespace demo
