#include "timing.h"

#include <algorithm>
#include <chrono>

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::vector<double> time_calls(const std::function<void()>& call, Milliseconds budget) {
  const auto begin_of_warm_up = Clock::now();
  do call();
  while (Clock::now() - begin_of_warm_up < Milliseconds(20));

  std::vector<double> samples;
  const auto begin = Clock::now();
  while (samples.size() < 3 || Clock::now() - begin < budget) {
    const auto before = Clock::now();
    call();
    samples.push_back(Milliseconds(Clock::now() - before).count());
  }
  return samples;
}

}  // namespace

std::vector<Timing> time_in_turns(const std::vector<std::function<void()>>& calls, double budget_ms, int rounds) {
  struct Samples {
    std::vector<double> medians, minima;
  };
  std::vector<Samples> all(calls.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < calls.size(); ++i) {
      const auto samples = time_calls(calls[i], Milliseconds(budget_ms / rounds));
      all[i].medians.push_back(median(samples));
      all[i].minima.push_back(*std::min_element(samples.begin(), samples.end()));
    }
  }
  std::vector<Timing> timings;
  for (const Samples& samples : all) {
    timings.push_back({median(samples.medians), *std::min_element(samples.minima.begin(), samples.minima.end())});
  }
  return timings;
}

}  // namespace bench
