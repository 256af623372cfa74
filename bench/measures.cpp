#include "measures.h"

#include <octet/octet.h>

#include <cmath>
#include <filesystem>

#include <unistd.h>

namespace bench {

int64_t saved_bytes(const torch::nn::Module& model) {
  const auto path = std::filesystem::temp_directory_path() / ("octet_bench_" + std::to_string(getpid()) + ".safetensors");
  octet::save(model, path);
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  std::filesystem::remove(path);
  return bytes;
}

double sqnr_db(const at::Tensor& reference, const at::Tensor& other) {
  const at::Tensor exact = reference.to(at::kDouble);
  return 10 * std::log10((exact.pow(2).sum() / (exact - other).pow(2).sum()).item<double>());
}

}  // namespace bench
