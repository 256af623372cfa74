#pragma once

#include <octet/observe/min_max_observer.h>

#include <torch/arg.h>

namespace octet {

struct PerGroupMinMaxObserverOptions : UniformQuantizationOptions<PerGroupMinMaxObserverOptions> {
  /// 4 bits, symmetric.
  PerGroupMinMaxObserverOptions() { dtype(quint4x2).qscheme(per_channel_symmetric); }

  /// How many elements of the last dimension share a scale and a zero point. Where it does not divide that dimension, the last
  /// group is shorter.
  TORCH_ARG(int64_t, group_size) = 128;

 public:
  Arguments arguments() const;
};

/// The lowest and highest value of each group of a weight: torchao's granularity PerGroup. Scales and zero points are
/// [rows * groups], those of a row beside each other. The zero point of the symmetric scheme is the middle of the integers, 8 of
/// quint4x2.
class PerGroupMinMaxObserver : public ObserverOf<PerGroupMinMaxObserver, PerGroupMinMaxObserverOptions, MinMaxObserverBase> {
 public:
  /// @throws Error for a group size that is not positive, and per_channel_affine_float_qparams
  explicit PerGroupMinMaxObserver(const Options& options = {});
  QParams calculate_qparams() const override;
};

}  // namespace octet
