#include <octet/observe/calibration_histogram_observer.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace octet {
namespace {

// So fine that the smallest float32 above zero leaves the innermost bin.
constexpr int64_t kFinestExponent = -150;

}  // namespace

CalibrationHistogramObserver::CalibrationHistogramObserver(const std::string& class_name,
                                                           const UniformQuantizationSettings& settings, int64_t bins)
    : UniformQuantizationObserverBase(class_name, settings, Granularity::per_tensor) {
  check(!settings.is_dynamic, class_name, ": is_dynamic is not possible, as a histogram is that of many inputs");
  check(bins > 0, class_name, ": bins is ", bins, ", expected a positive number");
  histogram_ = register_buffer("histogram", at::zeros({2 * bins}, at::kLong));
  bin_exponent_ = register_buffer("bin_exponent", at::full({1}, kFinestExponent, at::kLong));
}

double CalibrationHistogramObserver::bin_width() const {
  return std::ldexp(1.0, static_cast<int>(bin_exponent_.item<int64_t>()));
}

at::Tensor CalibrationHistogramObserver::forward(const at::Tensor& x) {
  if (x.numel() == 0) return x;
  const at::NoGradGuard no_grad;
  const at::Tensor values = x.detach().to(at::kFloat).contiguous();
  const auto [seen_min, seen_max] = finite_range(values);
  if (seen_min.item<float>() > seen_max.item<float>()) return x;  // all were to be ignored

  widen_bins_to(exponent_for(std::max(std::fabs(seen_min.item<double>()), std::fabs(seen_max.item<double>()))));
  const double bins_per_unit = 1 / bin_width();
  const auto* value = values.const_data_ptr<float>();
  auto* zero = histogram_.mutable_data_ptr<int64_t>() + bins();
  for (int64_t i = 0; i < values.numel(); ++i) {
    if (!std::isfinite(value[i])) continue;
    const auto bin = static_cast<int64_t>(std::fabs(value[i]) * bins_per_unit);
    ++zero[value[i] < 0 ? -1 - bin : bin];
  }
  min_val_.copy_(at::minimum(min_val_, seen_min));
  max_val_.copy_(at::maximum(max_val_, seen_max));
  return x;
}

int64_t CalibrationHistogramObserver::exponent_for(double magnitude) const {
  auto exponent = bin_exponent_.item<int64_t>();
  while (std::ldexp(static_cast<double>(bins()), static_cast<int>(exponent)) <= magnitude) ++exponent;
  return exponent;
}

void CalibrationHistogramObserver::widen_bins_to(int64_t exponent) {
  const int64_t shift = std::min<int64_t>(exponent - bin_exponent_.item<int64_t>(), 62);
  if (shift == 0) return;
  bin_exponent_.fill_(exponent);
  auto* zero = histogram_.mutable_data_ptr<int64_t>() + bins();
  for (int64_t bin = 1; bin < bins(); ++bin) {  // each moves towards zero, or stays if it is there already
    const int64_t target = bin >> shift;
    zero[target] += std::exchange(zero[bin], 0);
    zero[-1 - target] += std::exchange(zero[-1 - bin], 0);
  }
}

void CalibrationHistogramObserver::reduce_over_ranks(RankReduction& reduction) {
  const at::NoGradGuard no_grad;
  at::Tensor min = min_val_.clone();
  at::Tensor max = max_val_.clone();
  at::Tensor exponent = bin_exponent_.clone();
  reduction.min(min);
  reduction.max(max);
  reduction.max(exponent);
  widen_bins_to(exponent.item<int64_t>());
  at::Tensor counts = histogram_.clone();
  reduction.sum(counts);
  histogram_.copy_(counts);
  min_val_.copy_(min);
  max_val_.copy_(max);
}

std::vector<int64_t> CalibrationHistogramObserver::magnitude_counts() const {
  std::vector<int64_t> magnitudes(bins());
  const auto* zero = counts() + bins();
  for (int64_t bin = 0; bin < bins(); ++bin) magnitudes[bin] = zero[bin] + zero[-1 - bin];
  return magnitudes;
}

CalibrationHistogramObserver::ClippingRange CalibrationHistogramObserver::clipped_at(double magnitude) const {
  return {static_cast<float>(std::max(min_val_.item<double>(), -magnitude)),
          static_cast<float>(std::min(max_val_.item<double>(), magnitude))};
}

QParams CalibrationHistogramObserver::calculate_qparams() const {
  if (!is_calibrated()) return qparams_for({min_val_, max_val_});
  const auto [min, max] = choose_range();
  return qparams_for({at::scalar_tensor(min, at::kFloat), at::scalar_tensor(max, at::kFloat)});
}

void CalibrationHistogramObserver::reset_min_max_vals() {
  UniformQuantizationObserverBase::reset_min_max_vals();
  histogram_.zero_();
  bin_exponent_.fill_(kFinestExponent);
}

}  // namespace octet
