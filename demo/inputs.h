// What networks are given.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>

namespace demo {

/// Inputs of a network by their index, 0 .. size - 1. Made when they are asked for: all at once may need much memory.
struct Inputs {
  int64_t size = 0;
  std::function<torch::Tensor(int64_t index)> get;
};

}  // namespace demo
