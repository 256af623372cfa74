#include <octet/observe/entropy_observer.h>

#include <observe/arguments.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace octet {
namespace {

// The divergence of the first `kept` counts, with all others added to their last, from their form in `levels` levels.
double divergence(const std::vector<int64_t>& counts, int64_t kept, int64_t levels) {
  const auto rest = static_cast<double>(std::accumulate(counts.begin() + kept, counts.end(), int64_t{0}));
  const auto inside = static_cast<double>(std::accumulate(counts.begin(), counts.begin() + kept, int64_t{0}));
  double sum = 0;
  const auto first_bin_of = [&](int64_t level) { return (level * kept + levels - 1) / levels; };
  for (int64_t level = 0; level < levels; ++level) {
    const int64_t begin = first_bin_of(level);
    const int64_t end = first_bin_of(level + 1);
    int64_t total = 0;
    int64_t filled = 0;
    for (int64_t bin = begin; bin < end; ++bin) {
      total += counts[bin];
      filled += counts[bin] != 0;
    }
    const double q = static_cast<double>(total) / static_cast<double>(filled) / inside;
    for (int64_t bin = begin; bin < end; ++bin) {
      const double p = (static_cast<double>(counts[bin]) + (bin == kept - 1 ? rest : 0)) / (inside + rest);
      if (p == 0) continue;
      if (counts[bin] == 0) return std::numeric_limits<double>::infinity();
      sum += p * std::log(p / q);
    }
  }
  return sum;
}

}  // namespace

Arguments EntropyObserverOptions::arguments() const { return joined(settings().arguments(), {{"bins", argument_text(bins())}}); }

EntropyObserver::EntropyObserver(const Options& options) : ObserverOf(options, options.settings(), options.bins()) {}

EntropyObserver::ClippingRange EntropyObserver::choose_range() const {
  const bool one_sign = min_val().item<float>() >= 0 || max_val().item<float>() <= 0;
  const int64_t integers = quant_max() - quant_min() + 1;
  const int64_t levels = one_sign && !is_symmetric(qscheme()) ? integers : integers / 2;

  std::vector<int64_t> counts = magnitude_counts();
  if (counts.size() > 1) counts[0] = counts[1];
  double least = std::numeric_limits<double>::infinity();
  int64_t best = bins();
  for (int64_t kept = levels; kept <= bins(); ++kept) {
    const double candidate = divergence(counts, kept, levels);
    if (candidate <= least && std::isfinite(candidate)) {
      least = candidate;
      best = kept;
    }
  }
  return clipped_at(static_cast<double>(best) * bin_width());
}

}  // namespace octet
