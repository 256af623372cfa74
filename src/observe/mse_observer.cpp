#include <octet/observe/mse_observer.h>

#include <observe/arguments.h>

#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace octet {

Arguments MSEObserverOptions::arguments() const {
  return joined(settings().arguments(), {{"candidates", argument_text(candidates())}, {"bins", argument_text(bins())}});
}

MSEObserver::MSEObserver(const Options& options) : ObserverOf(options, options.settings(), options.bins()) {
  check(options.candidates() > 0, "MSEObserver: candidates is ", options.candidates(), ", expected a positive number");
}

double MSEObserver::squared_error(ClippingRange range) const {
  const QParams qparams = qparams_for({at::scalar_tensor(range.min, at::kFloat), at::scalar_tensor(range.max, at::kFloat)});
  const double scale = qparams.scale.item<double>();
  const auto zero_point = static_cast<double>(qparams.zero_point.item<int64_t>());
  const double lowest = (static_cast<double>(quant_min()) - zero_point) * scale;
  const double highest = (static_cast<double>(quant_max()) - zero_point) * scale;
  const double width = bin_width();
  double error = 0;
  for (int64_t i = 0; i < 2 * bins(); ++i) {
    const int64_t bin = i - bins();
    if (counts()[i] == 0 || bin == -1 || bin == 0) continue;  // zero is always hit
    const double middle = (static_cast<double>(bin) + 0.5) * width;
    const double quantized = std::clamp(std::nearbyint(middle / scale) * scale, lowest, highest);
    error += static_cast<double>(counts()[i]) * (quantized - middle) * (quantized - middle);
  }
  return error;
}

MSEObserver::ClippingRange MSEObserver::choose_range() const {
  double least = std::numeric_limits<double>::infinity();
  ClippingRange best{min_val().item<float>(), max_val().item<float>()};
  for (int64_t step = options().candidates(); step > 0; --step) {
    const double part = static_cast<double>(step) / static_cast<double>(options().candidates());
    const ClippingRange range{static_cast<float>(min_val().item<double>() * part),
                              static_cast<float>(max_val().item<double>() * part)};
    const double error = squared_error(range);
    if (error < least) {
      least = error;
      best = range;
    }
  }
  return best;
}

}  // namespace octet
