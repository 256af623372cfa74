#pragma once

#include <octet/observe/uniform_quantization_observer.h>

#include <cstdint>
#include <vector>

namespace octet {

/// Common base of the observers that choose a clipping range from a histogram of all values seen, which torch.ao lacks:
/// EntropyObserver, PercentileObserver, MSEObserver.
///
/// The histogram is streaming, exact and independent of the order of the inputs. On each side of zero it has `bins` bins of
/// one width, a power of two, chosen as the smallest for which all values fit. When a value does not, the width is doubled
/// and pairs of bins are added up, which moves no count to a wrong place: the histogram is always the one that would have
/// come of counting all values at the present width. At least half of the bins of one side are in use.
/// Values are counted as float32, in int64. Memory is O(bins).
///
/// Buffers beside those of the base: `histogram` [2 * bins] (int64; the bins of the negative values, the lowest first, then
/// those of zero and above) and `bin_exponent` [1] (int64; the width is 2 to its power).
class CalibrationHistogramObserver : public UniformQuantizationObserverBase {
 public:
  at::Tensor forward(const at::Tensor& x) override;
  QParams calculate_qparams() const override;
  void reset_min_max_vals() override;

  /// The widest of the processes' bins, and the sums of the counts in them: exactly what one process would have counted.
  void reduce_over_ranks(RankReduction& reduction) override;

  const at::Tensor& histogram() const { return histogram_; }
  double bin_width() const;

 protected:
  /// @throws Error for is_dynamic and for a number of bins that is not positive
  CalibrationHistogramObserver(const std::string& class_name, const UniformQuantizationSettings& settings, int64_t bins);

  struct ClippingRange {
    float min;
    float max;
  };

  /// The part of [min_val, max_val] to quantize. Called when there is something to choose from.
  virtual ClippingRange choose_range() const = 0;

  /// [min_val, max_val] cut off at a magnitude.
  ClippingRange clipped_at(double magnitude) const;

  int64_t bins() const { return histogram_.numel() / 2; }
  const int64_t* counts() const { return histogram_.const_data_ptr<int64_t>(); }

  /// Counts of values with a magnitude from k * bin_width() on, below (k + 1) * bin_width(), by k.
  std::vector<int64_t> magnitude_counts() const;

 private:
  int64_t exponent_for(double magnitude) const;
  void widen_bins_to(int64_t exponent);

  at::Tensor histogram_;
  at::Tensor bin_exponent_;
};

}  // namespace octet
