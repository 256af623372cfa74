// The two integers that each weight of a layer can be rounded to.
#pragma once

#include <workflow/layer_study.h>

namespace octet {

/// clamp(1.2 * sigmoid(logits) - 0.1, 0, 1)
at::Tensor rectified_sigmoid(const at::Tensor& logits);

/// For each weight of a layer the integer below and the one above, among those that are in use. They are the same for the lowest
/// and the highest of the weights that share a scale, which is made from them. All tensors are [out, in / groups, kernel].
class RoundingChoice {
 public:
  /// @throws Error if convert() would find another scale or other integers in rounded weights
  explicit RoundingChoice(const StudiedLayer& layer);

  /// The logits for which rectified_sigmoid gives how far each weight is above the integer below it.
  at::Tensor initial_logits() const;

  /// The values that are between the integers, `up` of the way (0 .. 1) from the lower one. Carries gradients.
  at::Tensor between(const at::Tensor& up) const;

  /// The integers that convert() makes of the weight as it is, and those chosen by `up` (bool); as floats.
  const at::Tensor& nearest() const { return nearest_; }
  at::Tensor choose(const at::Tensor& up) const;

  /// What convert() computes with for such integers.
  at::Tensor dequantized(const at::Tensor& integers) const { return dequantize(integers, qparams_); }

  /// The float weight from which convert() makes these integers, as the module has it. @throws Error as the constructor does
  at::Tensor float_weight(const at::Tensor& integers) const;

 private:
  StudiedLayer layer_;
  at::Tensor values_;  // of its weight
  nn::QuantizedWeight qparams_;
  at::Tensor lowest_, highest_;  // of the values that share a scale
  at::Tensor is_end_;            // which values are the lowest or the highest
  at::Tensor nearest_, below_, above_;
};

}  // namespace octet
