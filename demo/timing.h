// How long the variants of a network take.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace demo {

double median(std::vector<double> values);

/// Calls run(variant, item) for every variant and item, and times each call. The variants take turns on every item, in a random
/// order, so that a busy machine slows all of them alike and none profits from what came before it. One call of each,
/// run(variant, 0), comes before, to warm up. A progress bar shows `what`.
/// @param variants, items  above 0
/// @param prepare  called before the turns on each item, and not timed
/// @return the median of the milliseconds of each variant
std::vector<double> time_in_turns(
    const std::string& what, size_t variants, size_t items, const std::function<void(size_t variant, size_t item)>& run,
    const std::function<void(size_t item)>& prepare = [](size_t) {});

}  // namespace demo
