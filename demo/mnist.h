// The job `mnist`: a convolutional network is trained on digits, quantized statically in several ways, and compared with itself
// in float.
#pragma once

#include "result_table.h"

#include <filesystem>

namespace demo {

/// Prints what it finds.
/// @param data  the folder that prepare_data.py filled
/// @throws std::exception for missing or damaged data
ResultTable run_mnist(const std::filesystem::path& data);

}  // namespace demo
