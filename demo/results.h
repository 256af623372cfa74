// What the demo reports of each variant of the network.
#pragma once

#include "score.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace demo {

struct Result {
  std::string variant;
  Score score;
  int64_t weight_bytes = 0;
  double ms_per_word = 0;
};

/// A table with a line for each result and the meaning of its columns below.
/// @param results  not empty; the first is what the speed-up of the others refers to
std::string format_table(const std::vector<Result>& results);

/// An array with an object for each result, under the names above.
nlohmann::json to_json(const std::vector<Result>& results);

}  // namespace demo
