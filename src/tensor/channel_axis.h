// Where the channels of a per-channel tensor are after an op has moved its elements.
#pragma once

#include <octet/tensor/quantizer.h>

#include <ATen/core/Tensor.h>

#include <memory>

namespace octet {

/// An int64 tensor of the same sizes that holds at each place the number of its channel.
at::Tensor channel_numbers(const at::Tensor& quantized);

/// The quantizer of a tensor whose channels' numbers are these: they must change along one dimension only, which becomes the
/// axis. A single channel keeps an axis of size 1 if there is one, else it is per_tensor_affine.
/// @throws Refusal where elements of different channels were mixed, as a view that flattens the axis does
std::shared_ptr<const Quantizer> quantizer_of_channels(const at::Tensor& numbers, const Quantizer& before);

}  // namespace octet
