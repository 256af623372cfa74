// Where the time of a network goes, layer by layer.
#pragma once

#include "cases.h"
#include "machine_limits.h"

namespace bench {

/// Times each slot of the implementation's model, without those within it, and prints a row for each in the order of the forward:
/// what it computes, by which algorithm, and what share of the machine's limit that is. What is not in any slot, and slots that
/// take less than a thousandth of the time, come last, together.
/// @param implementation  with a model
void print_layers(const Implementation& implementation, double budget_ms, const Limits& limits);

}  // namespace bench
