#include "test_support.h"

namespace octet {
namespace {

namespace F = torch::nn::functional;
using test::Case;
using test::expect_error;

TEST(AveragingOps, PoolAsAten) {
  const std::vector<Case> cases{
      {"avg_pool2d", {2, 3, 8, 9}, [](const auto& x) { return torch::avg_pool2d(x, 2); }},
      {"avg_pool2d 3", {2, 3, 8, 9}, [](const auto& x) { return torch::avg_pool2d(x, 3, 1); }},
      {"avg_pool2d padded", {2, 3, 8, 9}, [](const auto& x) { return torch::avg_pool2d(x, {3, 2}, {2, 1}, {1, 1}, true); }},
      {"avg_pool2d exclude", {2, 3, 8, 9}, [](const auto& x) { return torch::avg_pool2d(x, 3, 2, 1, true, false); }},
      {"avg_pool2d divisor", {2, 3, 8, 9}, [](const auto& x) { return torch::avg_pool2d(x, 3, 2, 0, false, true, 7); }},
      {"avg_pool3d", {2, 3, 4, 5, 6}, [](const auto& x) { return torch::avg_pool3d(x, 2); }},
      {"adaptive_avg_pool2d", {2, 3, 7, 9}, [](const auto& x) { return torch::adaptive_avg_pool2d(x, {3, 4}); }},
      {"adaptive_avg_pool2d 1", {2, 3, 7, 9}, [](const auto& x) { return torch::adaptive_avg_pool2d(x, {1, 1}); }},
      {"adaptive_avg_pool3d", {2, 3, 4, 5, 6}, [](const auto& x) { return torch::adaptive_avg_pool3d(x, {3, 2, 4}); }},
      {"mean", {2, 3, 8, 9}, [](const auto& x) { return x.mean(); }},
      {"mean.dim", {2, 3, 8, 9}, [](const auto& x) { return x.mean({2, 3}, true); }},
      {"bilinear", {2, 3, 5, 7}, [](const auto& x) { return torch::upsample_bilinear2d(x, {11, 13}, false); }},
      {"bilinear corners", {2, 3, 5, 7}, [](const auto& x) { return torch::upsample_bilinear2d(x, {11, 13}, true); }},
      {"bilinear down", {2, 3, 9, 7}, [](const auto& x) { return torch::upsample_bilinear2d(x, {4, 3}, false); }},
  };
  for (const auto& one : cases) {
    // With channels last, ATen's vectorized kernel multiplies the bilinear weights in another order, and ties fall elsewhere.
    const int64_t tolerance = one.name.starts_with("bilinear") ? 1 : 0;
    test::expect_atens_results({one}, {quint8, qint8}, tolerance);
  }
}

}  // namespace
}  // namespace octet
