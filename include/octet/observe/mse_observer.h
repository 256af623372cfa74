#pragma once

#include <octet/observe/calibration_histogram_observer.h>

#include <torch/arg.h>

namespace octet {

struct MSEObserverOptions : UniformQuantizationOptions<MSEObserverOptions> {
  /// How many ranges to try; positive.
  TORCH_ARG(int64_t, candidates) = 100;

  /// Bins on each side of zero; a few times the number of integers.
  TORCH_ARG(int64_t, bins) = 2048;

 public:
  Arguments arguments() const;
};

/// The range with the least mean squared error of quantization. The candidates are [min_val, max_val] shrunk towards zero by
/// 1/candidates, 2/candidates, ... 1, as MQBench's MSEObserver has them; the widest of equals is taken. The error is that of
/// dequantize(quantize(x)) by the qparams that choose_qparams gives for the range, over the histogram: a bin's values count as
/// its middle, those of the two innermost bins as zero.
class MSEObserver : public ObserverOf<MSEObserver, MSEObserverOptions, CalibrationHistogramObserver> {
 public:
  explicit MSEObserver(const Options& options = {});

 private:
  ClippingRange choose_range() const override;
  double squared_error(ClippingRange range) const;
};

}  // namespace octet
