#include "digits.h"

#include "data_file.h"

#include <octet/io/safetensors.h>

#include <fmt/format.h>
#include <torch/torch.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace demo {
namespace {

constexpr int64_t kClasses = 10;
constexpr uint64_t kSeed = 0;

}  // namespace

DigitSplit read_digits(const std::filesystem::path& path) {
  check_data_file(path);
  const auto content = octet::read_safetensors(path);
  const auto require = [&](bool condition, const std::string& expected) {
    if (!condition) {
      throw std::runtime_error(
          fmt::format("{}: expected {}; delete it and have prepare_data.py make it anew", path.string(), expected));
    }
  };
  const torch::Tensor* const images = content.tensors.find("images");
  const torch::Tensor* const labels = content.tensors.find("labels");
  require(images && labels, "tensors \"images\" and \"labels\"");
  require(images->scalar_type() == torch::kUInt8 && labels->scalar_type() == torch::kUInt8, "tensors of uint8");
  const int64_t count = labels->numel();
  require(labels->dim() == 1 && images->sizes() == torch::IntArrayRef({count, 28, 28}) && count >= 5,
          "at least 5 images of 28 x 28 and a label for each");
  require(labels->max().item<int64_t>() < kClasses, "labels from 0 to 9");

  auto generator = torch::make_generator<torch::CPUGeneratorImpl>(kSeed);
  const torch::Tensor order = torch::randperm(count, generator, torch::kInt64);
  const auto part = [&](int64_t begin, int64_t end) -> Digits {
    const torch::Tensor indices = order.slice(0, begin, end);
    return {images->index_select(0, indices).unsqueeze(1).to(torch::kFloat32) / 255,
            labels->index_select(0, indices).to(torch::kInt64)};
  };
  const int64_t train = count - count / 5;
  return {part(0, train), part(train, count)};
}

}  // namespace demo
