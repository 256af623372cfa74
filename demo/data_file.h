// Where the jobs find what prepare_data.py made.
#pragma once

#include <filesystem>
#include <stdexcept>

namespace demo {

/// @throws std::runtime_error if the file is missing, with the way to make it
inline void check_data_file(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) {
    throw std::runtime_error(path.string() + " is missing; ./run demo makes it, or: python demo/prepare_data.py " +
                             path.parent_path().string());
  }
}

}  // namespace demo
