// The job `mnist`: a convolutional network is trained on digits, quantized statically in several ways and by training on with
// few bits, and compared with itself in float.
#pragma once

#include "mnist_training.h"
#include "result_table.h"

#include <filesystem>

namespace demo {

/// The first rank prints what it finds; the others help it train.
/// @param data  the folder that prepare_data.py filled
/// @return no rows on other ranks
/// @throws std::exception for missing or damaged data
ResultTable run_mnist(const std::filesystem::path& data, const Group& group = {});

}  // namespace demo
