// Reads what a layer's x_oracle.py asked of Python's torch.ao: one dict of tensors, numbers, strings, lists and dicts.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace octet::test {

/// @param name "layer/concept", for src/layer/concept_oracle.py.
inline c10::Dict<c10::IValue, c10::IValue> load_oracle(const std::string& name) {
  const auto path = std::filesystem::path(OCTET_ORACLE_DIR) / (name + ".pt");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("no oracle file " + path.string() + "; build the target that runs the oracles");
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  return torch::pickle_load(bytes).toGenericDict();
}

}  // namespace octet::test
