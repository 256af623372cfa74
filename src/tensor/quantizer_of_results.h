#pragma once

#include <octet/tensor/quantizer.h>

#include <ATen/core/Tensor.h>

namespace octet {

/// The quantizer that an observer would choose which has seen these finite float32 values.
Quantizer quantizer_of_results(const at::Tensor& values, DType dtype);

}  // namespace octet
