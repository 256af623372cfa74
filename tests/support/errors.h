// What a call throws, and how far tensors are apart.
#pragma once

#include <octet/tensor/error.h>

#include <ATen/ATen.h>

#include <cmath>
#include <functional>
#include <string>

namespace octet::test {

/// The text of the octet::Error that a call throws; "no error" if it throws none.
inline std::string error_text(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// Signal to quantization noise ratio, in decibels.
inline double sqnr_db(const at::Tensor& reference, const at::Tensor& other) {
  return 10 * std::log10(reference.pow(2).sum().item<double>() / (reference - other).pow(2).sum().item<double>());
}

}  // namespace octet::test
