#include <octet/observe/histogram_observer.h>

#include <observe/arguments.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/bucketize.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/histc.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/generic_math.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace octet {
namespace {

bool same(const at::Tensor& a, const at::Tensor& b) { return a.item<double>() == b.item<double>(); }

// at::histc with exact counts. It counts in the dtype of its input, where integers are exact up to 2^digits only: bfloat16
// counts to 256. So the values are counted in portions in which no count can get beyond that.
at::Tensor histogram_of(const at::Tensor& values, int64_t bins, const at::Scalar& min, const at::Scalar& max) {
  static const std::map<at::ScalarType, int> kDigits{{at::kBFloat16, 8}, {at::kHalf, 11}, {at::kFloat, 24}, {at::kDouble, 53}};
  const int digits = kDigits.at(values.scalar_type());
  at::Tensor counts = at::zeros({bins}, digits > 24 ? at::kDouble : at::kFloat);
  for (const auto& portion : values.reshape({-1}).split(int64_t{1} << digits)) counts += at::histc(portion, bins, min, max);
  return counts;
}

// The integral of density * x * x from begin to end.
float squared_error(float begin, float end, float density) { return density * ((end * end * end - begin * begin * begin) / 3); }

}  // namespace

Arguments HistogramObserverOptions::arguments() const {
  return joined(settings().arguments(), {{"bins", argument_text(bins())}, {"upsample_rate", argument_text(upsample_rate())}});
}

HistogramObserver::HistogramObserver(const Options& options) : ObserverOf(options, options.settings(), Granularity::per_tensor) {
  check(!options.is_dynamic(), "HistogramObserver: is_dynamic is not possible, as a histogram is that of many inputs");
  check(options.bins() > 0, "HistogramObserver: bins is ", options.bins(), ", expected a positive number");
  check(options.upsample_rate() > 0, "HistogramObserver: upsample_rate is ", options.upsample_rate(),
        ", expected a positive number");
  histogram_ = register_buffer("histogram", at::zeros({options.bins()}, at::kFloat));
}

at::Tensor HistogramObserver::forward(const at::Tensor& x) {
  if (x.numel() == 0) return x;
  const at::NoGradGuard no_grad;
  at::Tensor values = x.is_floating_point() ? x.detach() : x.detach().to(at::kFloat);
  const auto [seen_min, seen_max] = finite_range(values);
  if (settings().ignore_non_finite) values = values.masked_select(at::isfinite(values));
  if (values.numel() == 0) return x;

  const at::Tensor new_min = at::minimum(min_val_, seen_min);
  const at::Tensor new_max = at::maximum(max_val_, seen_max);
  check_width(new_min, new_max);
  at::Tensor counts = histogram_of(values, options().bins(), new_min.item(), new_max.item());
  if (is_calibrated()) counts = counts + moved_histogram(new_min, new_max);
  histogram_.copy_(counts);
  min_val_.copy_(new_min);
  max_val_.copy_(new_max);
  return x;
}

void HistogramObserver::reduce_over_ranks(RankReduction& reduction) {
  const at::NoGradGuard no_grad;
  at::Tensor min = min_val_.clone();
  at::Tensor max = max_val_.clone();
  reduction.min(min);
  reduction.max(max);
  if (min.item<float>() > max.item<float>()) return;  // no process has seen anything
  check_width(min, max);
  at::Tensor counts = is_calibrated() ? moved_histogram(min, max).to(at::kFloat, /*non_blocking=*/false, /*copy=*/true)
                                      : at::zeros_like(histogram_);
  reduction.sum(counts);
  histogram_.copy_(counts);
  min_val_.copy_(min);
  max_val_.copy_(max);
}

void HistogramObserver::check_width(const at::Tensor& min, const at::Tensor& max) const {
  check(std::isfinite((max - min).to(at::kFloat).item<float>()), name(), ": values from ", min.item<double>(), " to ",
        max.item<double>(), " are too far apart for float32 to hold the width of that range; look for outliers in the input");
}

at::Tensor HistogramObserver::moved_histogram(const at::Tensor& new_min, const at::Tensor& new_max) const {
  const auto [bins, rate] = std::pair(options().bins(), options().upsample_rate());
  if (same(new_min, min_val_) && same(new_max, max_val_)) return histogram_;
  if (same(min_val_, max_val_)) {  // one value so far: all counts go where it lies
    return at::histc(min_val_, bins, new_min.item(), new_max.item()) * histogram_.sum();
  }
  const at::Tensor parts = histogram_.repeat_interleave(rate) / rate;
  const at::Tensor width_of_part = (max_val_ - min_val_) / (bins * rate);
  const at::Tensor begins = at::linspace(min_val_, max_val_, bins * rate + 1, at::kFloat).slice(0, 0, bins * rate);
  const at::Tensor boundaries = at::linspace(new_min, new_max, bins + 1, at::kFloat);
  const at::Tensor targets = at::bucketize(begins + 0.5 * width_of_part, boundaries, /*out_int32=*/false, /*right=*/true) - 1;
  return at::bincount(targets.clamp(0, bins - 1), parts, /*minlength=*/bins);
}

double HistogramObserver::quantization_error(int64_t first_bin, int64_t last_bin) const {
  const int64_t bins = options().bins();
  const double levels = static_cast<double>(int64_t{1} << std::max(8, info(dtype()).bits));  // torch.iinfo(quint4x2).bits is 8
  const double bin_width = (max_val_.item<double>() - min_val_.item<double>()) / static_cast<double>(bins);
  const double level_width = bin_width * static_cast<double>(last_bin - first_bin + 1) / levels;
  if (level_width == 0) return 0;

  // In float32 from here on, as torch computes with tensors of that dtype.
  const auto width = static_cast<float>(bin_width);
  const auto level = static_cast<float>(level_width);
  const auto half_level = static_cast<float>(level_width / 2);
  const auto last_level = static_cast<float>(levels - 1);
  const auto level_of = [&](float x) { return std::clamp(c10::div_floor_floating(x, level), 0.0F, last_level); };

  const at::Tensor errors = at::empty({bins}, at::kFloat);
  auto* error = errors.mutable_data_ptr<float>();
  const auto* count = histogram_.const_data_ptr<float>();
  for (int64_t i = 0; i < bins; ++i) {
    const float begin = static_cast<float>(i - first_bin) * width;
    const float end = begin + width;
    const float level_of_begin = level_of(begin);
    const float level_of_end = level_of(end);
    const float density = count[i] / width;
    // From the bin's begin to the end of its level, the levels that the bin covers whole, and from its last level's begin on.
    error[i] = squared_error(begin - (level_of_begin + 0.5F) * level, half_level, density);
    error[i] += (level_of_end - level_of_begin - 1) * squared_error(-half_level, half_level, density);
    error[i] += squared_error(-half_level, end - (level_of_end * level + half_level), density);
  }
  return errors.sum().item<double>();
}

UniformQuantizationObserverBase::Range HistogramObserver::search_range() const {
  constexpr double kStep = 1e-5;
  const int64_t bins = options().bins();
  const double total = histogram_.sum().item<double>();
  const at::Tensor cumulative = at::cumsum(histogram_, 0);
  const auto* below = cumulative.const_data_ptr<float>();

  double alpha = 0;  // the part of the mass below the range
  double beta = 1;   // the part of the mass up to its end
  int64_t first_bin = 0;
  int64_t last_bin = bins - 1;
  double least_error = std::numeric_limits<double>::infinity();
  while (alpha < beta) {
    const double next_alpha = alpha + kStep;
    const double next_beta = beta - kStep;
    int64_t next_first = first_bin;
    int64_t next_last = last_bin;
    while (next_first < last_bin && below[next_first] < static_cast<float>(next_alpha * total)) ++next_first;
    while (next_last > first_bin && below[next_last] > static_cast<float>(next_beta * total)) --next_last;

    if (next_first - first_bin > last_bin - next_last) {
      alpha = next_alpha;
      next_last = last_bin;
    } else {
      beta = next_beta;
      next_first = first_bin;
    }
    if (next_first == first_bin && next_last == last_bin) continue;

    const double error = quantization_error(next_first, next_last);
    if (error > least_error) break;
    least_error = error;
    first_bin = next_first;
    last_bin = next_last;
  }
  const at::Tensor width = (max_val_ - min_val_) / bins;
  return {min_val_ + width * first_bin, min_val_ + width * (last_bin + 1)};
}

QParams HistogramObserver::calculate_qparams() const {
  return qparams_for(is_calibrated() ? search_range() : Range{min_val_, max_val_});
}

void HistogramObserver::reset_min_max_vals() {
  UniformQuantizationObserverBase::reset_min_max_vals();
  histogram_.zero_();
}

}  // namespace octet
