#include "test_support.h"

namespace octet {
namespace {

using test::Case;
using test::expect_error;

TEST(UnaryOps, GiveAtensIntegersForAllBytes) {
  const std::vector<Case> cases{
      {"sigmoid", {}, [](const auto& x) { return torch::sigmoid(x); }},
      {"tanh", {}, [](const auto& x) { return torch::tanh(x); }},
      {"hardsigmoid", {}, [](const auto& x) { return torch::hardsigmoid(x); }},
      {"leaky_relu", {}, [](const auto& x) { return torch::leaky_relu(x, 0.17); }},
      {"gelu", {}, [](const auto& x) { return torch::gelu(x); }},
      {"threshold", {}, [](const auto& x) { return torch::threshold(x, 0.31, -0.42); }},
  };
  const auto every_byte = torch::arange(256, torch::kByte);
  for (const Case& one : cases) {
    for (const auto& integers : {every_byte, every_byte.view(torch::kChar)}) {
      for (const double scale : {0.05F, 0.11F, 0.0078125F, 0.5F}) {  // ATen's gelu makes the scale a float32
        for (const int64_t zero_point : {0, 3, 64, 101}) {
          const auto ours = one.op(make_per_tensor_quantized(integers, scale, zero_point));
          const auto atens = one.op(at::_make_per_tensor_quantized_tensor(integers, scale, zero_point));
          // ATen's vectorized leaky_relu folds the zero point into an fma, which moves a rounding tie here and there.
          const int64_t tolerance = one.name == "leaky_relu" ? 1 : 0;
          test::expect_twins(ours, atens, c10::str(one.name, " scale ", scale, " zero point ", zero_point), tolerance);
        }
      }
    }
  }
}

}  // namespace
}  // namespace octet
