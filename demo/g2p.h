// The job `g2p`: a pretrained network of GRUs is quantized dynamically in several ways, and compared with itself in float.
#pragma once

#include "result_table.h"

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace demo {

struct G2pArguments {
  std::filesystem::path data;  ///< the folder that prepare_data.py filled
  size_t words = 0;            ///< how many to compare on; 0: all
};

/// Prints what it finds. @throws std::exception for missing or damaged data
ResultTable run_g2p(const G2pArguments& arguments);

/// Prints how each variant of the network pronounces the words.
/// @throws std::invalid_argument for what is no word
void pronounce(const std::filesystem::path& data, const std::vector<std::string>& words);

}  // namespace demo
