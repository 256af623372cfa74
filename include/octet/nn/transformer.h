#pragma once

#include <octet/nn/modules.h>

#include <ATen/core/Tensor.h>

namespace octet::nn {

/// norm->forward(x + residual), the end of a transformer's residual connection: in one pass over the memory where the module
/// computes in float, has a weight and a bias, and nobody watches it by a hook or an observer.
at::Tensor add_and_norm(LayerNormImpl& norm, const at::Tensor& x, const at::Tensor& residual);

}  // namespace octet::nn
