#pragma once

#include <octet/observe/observer.h>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <string>
#include <utility>
#include <vector>

namespace octet::distributed {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// What processes must have alike of a model, each thing once, in the order of registration. Parts of an observed implementation,
/// which hang on a slot without being registered, are among them.
struct ModelState {
  NamedTensors parameters;
  NamedTensors buffers;
  NamedTensors observer_buffers;  ///< of observers and fake quantizers, whose sizes may depend on what they saw
  std::vector<std::pair<std::string, ObserverBase*>> observers;  ///< for a fake quantizer that, and not the one inside
};

ModelState model_state(torch::nn::Module& model);

}  // namespace octet::distributed
