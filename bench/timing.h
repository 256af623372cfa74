// How long calls take.
#pragma once

#include <functional>
#include <vector>

namespace bench {

struct Timing {
  double ms_median, ms_min;
};

/// Lets all calls take turns in each round: a warm-up of up to 20 ms, then timed calls, at least three, for a share of the
/// budget.
/// @param budget_ms  for each of the calls, over all rounds
/// @return for each call the median over the rounds of the round's median, and the least of all
std::vector<Timing> time_in_turns(const std::vector<std::function<void()>>& calls, double budget_ms, int rounds);

}  // namespace bench
