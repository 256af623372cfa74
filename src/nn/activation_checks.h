// What every module with float activations asks of its input.
#pragma once

#include <ATen/core/Tensor.h>

namespace octet::nn {

/// @param what  "the input", "hx"
/// @throws Error, which names the module that runs, unless the tensor is a float32 tensor on the CPU
void check_float_activation(const at::Tensor& tensor, const char* what);

}  // namespace octet::nn
