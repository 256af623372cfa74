// What suites say of the networks that they measure, beside the time.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>

namespace bench {

/// Of the file that octet::save writes.
int64_t saved_bytes(const torch::nn::Module& model);

/// Signal to quantization noise, in decibels; infinite where there is none.
double sqnr_db(const at::Tensor& reference, const at::Tensor& other);

}  // namespace bench
