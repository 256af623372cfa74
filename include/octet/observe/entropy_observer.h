#pragma once

#include <octet/observe/calibration_histogram_observer.h>

#include <torch/arg.h>

namespace octet {

struct EntropyObserverOptions : UniformQuantizationOptions<EntropyObserverOptions> {
  /// Bins on each side of zero; a few times the number of integers.
  TORCH_ARG(int64_t, bins) = 2048;

 public:
  Arguments arguments() const;
};

/// Clips at the magnitude for which the quantized distribution loses least information: the least Kullback-Leibler divergence
/// from the distribution of magnitudes P to its quantized form Q. The calibration of TensorRT (S. Migacz, "8-bit Inference
/// with TensorRT", GTC 2017) in the form of NVIDIA's pytorch-quantization (calib/histogram.py):
///
/// - L is the number of integers that magnitudes have: half of quant_min..quant_max, or all for an affine scheme and values of
///   one sign. The innermost bin, where the zeros of ReLU pile up, counts as much as its neighbour.
/// - For each T from L bins up to all: P are the first T counts, the last with all that lies beyond it. Q are the first T
///   counts, their bins shared out evenly to L levels, each level's counts spread evenly over its bins that are not empty.
/// - The T with the least sum of P log(P / Q), both normalized, is taken; the largest of equals. Where Q is zero and P is not,
///   the divergence is infinite. If no T has a finite one, nothing is clipped.
///
/// The range is [min_val, max_val] cut off at T * bin_width.
class EntropyObserver : public ObserverOf<EntropyObserver, EntropyObserverOptions, CalibrationHistogramObserver> {
 public:
  explicit EntropyObserver(const Options& options = {});

 private:
  ClippingRange choose_range() const override;
};

}  // namespace octet
