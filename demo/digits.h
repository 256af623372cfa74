// The handwritten digits of MNIST, as prepare_data.py writes them.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>

namespace demo {

struct Digits {
  torch::Tensor images;  ///< [count, 1, 28, 28], 0 .. 1
  torch::Tensor labels;  ///< [count], int64
};

struct DigitSplit {
  Digits train, test;
};

/// Reads `images` (uint8 [count, 28, 28]) and `labels` (uint8 [count]) from a safetensors file and shuffles them, always alike.
/// The last fifth is for testing.
/// @throws std::exception that says what is wrong with the file: missing, damaged, other names, shapes, dtypes or labels
DigitSplit read_digits(const std::filesystem::path& path);

}  // namespace demo
