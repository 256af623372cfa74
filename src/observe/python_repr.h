#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace octet {

/// Numbers as Python prints them: "2.0", "1e-05", "inf".
std::string python_repr(double value);
inline std::string python_repr(int64_t value) { return std::to_string(value); }

/// A tensor as Python's f-string has it under the default print options: a number for a scalar, "tensor([1., 2.])" for
/// one dimension. @param tensor  of at most one dimension, floating or integer
std::string python_repr(const at::Tensor& tensor);

}  // namespace octet
