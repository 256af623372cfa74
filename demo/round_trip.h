// Quantized networks in files.
#pragma once

#include <octet/octet.h>

#include <fmt/format.h>

#include <filesystem>
#include <stdexcept>

namespace demo {

/// Saves a quantized network, loads it into a fresh float one and says whether the two compute the same.
/// @param same  (net, loaded) -> bool
/// @throws std::runtime_error if they don't
template <class Model, class Same>
void show_round_trip(const Model& net, const std::filesystem::path& path, const Same& same) {
  octet::save(*net, path);
  Model loaded;
  octet::load(*loaded, path);
  loaded->eval();
  const bool equal = same(net, loaded);
  fmt::print("\nSaved as {} ({:.0f} kB) and loaded into a fresh float network: the outputs {}.\n", path.string(),
             static_cast<double>(std::filesystem::file_size(path)) / 1000, equal ? "are equal, bit for bit" : "DIFFER");
  if (!equal) throw std::runtime_error("the loaded network differs from the saved one");
}

}  // namespace demo
