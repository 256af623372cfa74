// Weights of 4 bits in groups, from floats and from files.
#pragma once

#include <octet/kernels/packed_int4_weight.h>
#include <octet/nn/implementation.h>
#include <octet/nn/weight_observer.h>

#include <ATen/core/Tensor.h>

#include <string>

namespace octet::nn {

/// The weight as its observer asks: quint4x2, with a scale and a zero point for each group of inputs of an output.
/// @param weight  [out_features, in_features], checked by check_float_weight
/// @throws Error for another dtype or group size of the observer, and for values too far apart for a scale in float32
kernels::PackedInt4Weight quantize_int4_weight(const at::Tensor& weight, const WeightObserver& observer,
                                               const std::string& where);

/// Adds `<name>` (uint8, [out_features, in_features / 2 rounded up]: two integers of 0 .. 15 in a byte, the first in the low
/// bits),
/// `<name>_shape` (int64, [2]: out_features and in_features), and `<name>_scale` (float32) and `<name>_zero_point` (uint8, 0 ..
/// 15), both [out_features, groups]. An integer q stands for (q - zero point) * scale.
void append_int4_weight(StateDict& state, const std::string& name, const kernels::PackedInt4Weight& weight);

/// The inverse. @throws Error that names what is missing, or of a wrong dtype, shape or value
kernels::PackedInt4Weight int4_weight_from(const StateDict& state, const std::string& name, const std::string& where);

/// The values that the integers stand for: float32, [out_features, in_features].
at::Tensor dequantize(const kernels::PackedInt4Weight& weight);

}  // namespace octet::nn
