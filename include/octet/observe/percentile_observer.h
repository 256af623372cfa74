#pragma once

#include <octet/observe/calibration_histogram_observer.h>

#include <torch/arg.h>

namespace octet {

struct PercentileObserverOptions : UniformQuantizationOptions<PercentileObserverOptions> {
  /// How much of the values to keep in the range, in percent: above 0, up to 100.
  TORCH_ARG(double, percentile) = 99.99;

  /// Bins on each side of zero; the range ends at the edge of a bin.
  TORCH_ARG(int64_t, bins) = 2048;

 public:
  Arguments arguments() const;
};

/// Clips the rarest values, as the percentile calibrations of NVIDIA's pytorch-quantization (symmetric) and ONNX Runtime
/// (quantization/calibrate.py) do. Symmetric schemes: the range is that of the smallest magnitude, at the edge of a bin, that
/// holds `percentile` of all values. Affine schemes: half of the rest may lie below the range and half above it; each end is
/// the outer edge of the first bin, counted from its side, with which more than that is passed.
class PercentileObserver : public ObserverOf<PercentileObserver, PercentileObserverOptions, CalibrationHistogramObserver> {
 public:
  explicit PercentileObserver(const Options& options = {});

 private:
  ClippingRange choose_range() const override;
};

}  // namespace octet
