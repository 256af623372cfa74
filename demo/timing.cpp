#include "timing.h"

#include "progress_bar.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>

namespace demo {

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::vector<double> time_in_turns(const std::string& what, size_t variants, size_t items,
                                  const std::function<void(size_t variant, size_t item)>& run,
                                  const std::function<void(size_t item)>& prepare) {
  std::vector<std::vector<double>> milliseconds(variants);
  prepare(0);
  for (size_t variant = 0; variant < variants; ++variant) run(variant, 0);
  std::vector<size_t> order(variants);
  std::iota(order.begin(), order.end(), size_t{0});
  std::mt19937 generator(0);
  ProgressBar bar(what, static_cast<int64_t>(items));
  for (size_t item = 0; item < items; ++item) {
    prepare(item);
    std::shuffle(order.begin(), order.end(), generator);
    for (const size_t variant : order) {
      const auto begin = std::chrono::steady_clock::now();
      run(variant, item);
      milliseconds[variant].push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    }
    bar.advance();
  }
  std::vector<double> medians;
  for (const auto& times : milliseconds) medians.push_back(median(times));
  return medians;
}

}  // namespace demo
