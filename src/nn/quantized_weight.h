// What modules with quantized weights have in common.
#pragma once

#include <octet/nn/implementation.h>
#include <octet/nn/weight_observer.h>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace octet::nn {

/// int8 weights with their qparams, the output channels along the first dimension.
struct QuantizedWeight {
  at::Tensor integers;              // int8, contiguous
  std::vector<float> scale;         // [1] or [channels]
  std::vector<int32_t> zero_point;  // alike; empty when all are zero

  bool is_per_channel() const { return scale.size() > 1; }
};

/// @throws Error for a weight that is not floating point, not on the CPU or not finite, and for a bias that is not [channels]
void check_float_weight(const at::Tensor& weight, const at::Tensor& bias, int64_t channels, const std::string& where);

/// The values as their observer asks: per tensor or per channel along its axis, within its range of integers.
at::Tensor quantize_as_observed(const at::Tensor& values, const WeightObserver& observer, const std::string& where);

/// The weight as its observer asks: qint8, per tensor or per channel along dimension 0, within the observer's range of integers.
/// @param weight  checked by check_float_weight
/// @throws Error for another dtype or axis of the observer, and if there is none
QuantizedWeight quantize_weight(const at::Tensor& weight, const WeightObserver& observer, const std::string& where);

/// From its integers and the tensors `<name>_scale` (float32, [1] or [channels]) and `<name>_zero_point` (int32, alike).
/// @throws Error that names what is missing, or of a wrong dtype, shape or value
QuantizedWeight quantized_weight_from(const at::Tensor& integers, int64_t channels, const StateDict& state,
                                      const std::string& name, const std::string& where);

/// Adds `<name>_scale` and `<name>_zero_point`.
void append_qparams(StateDict& state, const std::string& name, const std::vector<float>& scale,
                    const std::vector<int32_t>& zero_point);

/// A bias from a file: undefined if there is none. @throws Error unless it is float32 of shape [channels]
at::Tensor bias_from(const StateDict& state, const std::string& name, int64_t channels, const std::string& where);

/// A float32 copy of a bias; undefined if that is.
at::Tensor float_bias(const at::Tensor& bias);

}  // namespace octet::nn
