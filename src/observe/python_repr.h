#pragma once

#include <octet/tensor/dtype.h>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace octet {

/// Numbers as Python prints them: "2.0", "1e-05", "inf".
std::string python_repr(double value);
inline std::string python_repr(int64_t value) { return std::to_string(value); }
inline std::string python_repr(bool value) { return value ? "True" : "False"; }
inline std::string python_repr(DType dtype) { return "torch." + std::string(info(dtype).name); }
inline std::string python_repr(QScheme qscheme) { return "torch." + std::string(name(qscheme)); }

/// A tensor as Python's f-string has it under the default print options: a number for a scalar, "tensor([1., 2.])" for
/// one dimension. @param tensor  of at most one dimension, floating or integer
std::string python_repr(const at::Tensor& tensor);

}  // namespace octet
