#pragma once

#include <octet/observe/uniform_quantization_observer.h>

#include <torch/arg.h>

#include <cstdint>

namespace octet {

struct HistogramObserverOptions : UniformQuantizationOptions<HistogramObserverOptions> {
  /// Bins of the histogram; positive.
  TORCH_ARG(int64_t, bins) = 2048;

  /// Each bin is split into so many before it is moved into a wider histogram; positive.
  TORCH_ARG(int64_t, upsample_rate) = 16;

 public:
  Arguments arguments() const;
};

/// A histogram of all values seen, and the range within it that loses least to quantization; torch.ao's HistogramObserver.
///
/// Every input is counted in `bins` bins between the lowest and the highest value so far. If it widens that range, the old
/// counts are moved: each old bin, split into upsample_rate parts, goes to the new bins where the parts' middles lie.
/// calculate_qparams then takes bins off the tails, always 1e-5 of the mass from the tail that gives way more, as long as the
/// expected squared error of quantizing what remains falls (the L2 search of caffe2/quantization/server/norm_minimization.cc).
/// Memory does not grow with the number of batches. As in torch.ao the bins' edges are computed in the input's dtype; unlike
/// there, counts of halves do not saturate (torch.ao counts bfloat16 values only up to 256 a bin).
/// torch.ao leaves infinities out with a warning; so does this with ignore_non_finite, and else they are an Error.
///
/// Buffers beside those of the base: `histogram` [bins].
class HistogramObserver : public ObserverOf<HistogramObserver, HistogramObserverOptions, UniformQuantizationObserverBase> {
 public:
  /// @throws Error for is_dynamic: a histogram is not that of one input
  explicit HistogramObserver(const Options& options = {});

  at::Tensor forward(const at::Tensor& x) override;
  QParams calculate_qparams() const override;
  void reset_min_max_vals() override;

  /// Every process moves its counts into the range of what all of them saw, as for an input that widens it; then they are summed.
  /// @throws Error, in all processes, if that range is too wide for float32
  void reduce_over_ranks(RankReduction& reduction) override;

  const at::Tensor& histogram() const { return histogram_; }

 private:
  void check_width(const at::Tensor& min, const at::Tensor& max) const;
  at::Tensor moved_histogram(const at::Tensor& new_min, const at::Tensor& new_max) const;
  Range search_range() const;
  double quantization_error(int64_t first_bin, int64_t last_bin) const;

  at::Tensor histogram_;
};

}  // namespace octet
