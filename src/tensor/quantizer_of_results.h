#pragma once

#include <octet/tensor/quantizer.h>

#include <ATen/core/Tensor.h>

namespace octet {

/// 0 .. 255/256 and -1 .. 127/128: the quantizers that ATen has for the results of sigmoid and tanh. Of 8-bit dtypes.
Quantizer zero_to_one(DType dtype);
Quantizer minus_one_to_one(DType dtype);

/// The quantizer that an observer would choose which has seen these finite float32 values.
Quantizer quantizer_of_results(const at::Tensor& values, DType dtype);

}  // namespace octet
