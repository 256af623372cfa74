// How large a network is.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>

namespace demo {

/// Bytes in memory of all weights of a model, quantized or not.
int64_t weight_bytes(torch::nn::Module& model);

}  // namespace demo
