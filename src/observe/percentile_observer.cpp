#include <octet/observe/percentile_observer.h>

#include <observe/arguments.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace octet {
namespace {

// How many counts at the end of an array hold no more than `budget` together.
template <class ReverseIterator>
int64_t bins_within(ReverseIterator first, ReverseIterator last, double budget) {
  double passed = 0;
  return std::find_if(first, last, [&](int64_t count) { return (passed += static_cast<double>(count)) > budget; }) - first;
}

}  // namespace

Arguments PercentileObserverOptions::arguments() const {
  return joined(settings().arguments(), {{"percentile", argument_text(percentile())}, {"bins", argument_text(bins())}});
}

PercentileObserver::PercentileObserver(const Options& options) : ObserverOf(options, options.settings(), options.bins()) {
  check(0 < options.percentile() && options.percentile() <= 100, "PercentileObserver: percentile is ", options.percentile(),
        ", expected above 0 and up to 100");
}

PercentileObserver::ClippingRange PercentileObserver::choose_range() const {
  const int64_t* end = counts() + 2 * bins();
  const auto total = static_cast<double>(std::accumulate(counts(), end, int64_t{0}));
  const double clipped = total * (100 - options().percentile()) / 100;
  if (is_symmetric(qscheme())) {
    const std::vector<int64_t> magnitudes = magnitude_counts();
    const int64_t cut = bins_within(magnitudes.rbegin(), magnitudes.rend(), clipped);
    return clipped_at(static_cast<double>(bins() - cut) * bin_width());
  }
  const int64_t below = bins_within(counts(), end, clipped / 2);
  const int64_t above = bins_within(std::reverse_iterator(end), std::reverse_iterator(counts()), clipped / 2);
  const double lowest = static_cast<double>(below - bins()) * bin_width();
  const double highest = static_cast<double>(bins() - above) * bin_width();
  return {static_cast<float>(std::max(min_val().item<double>(), lowest)),
          static_cast<float>(std::min(max_val().item<double>(), highest))};
}

}  // namespace octet
