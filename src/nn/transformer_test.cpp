#include <octet/nn/transformer.h>

#include <torch/torch.h>

#include <gtest/gtest.h>

namespace octet {
namespace {

TEST(AddAndNorm, IsTheModulesForwardOfTheSum) {
  const torch::NoGradGuard no_grad;
  nn::LayerNorm norm(nn::LayerNormOptions({24}));
  norm->weight.copy_(torch::randn({24}));
  norm->bias.copy_(torch::randn({24}));
  const at::Tensor x = torch::randn({3, 5, 24}), residual = torch::randn({3, 5, 24}), row = torch::randn({24});
  const at::Tensor expected = norm->forward(x + residual);
  EXPECT_TRUE(at::allclose(nn::add_and_norm(*norm, x, residual), expected, 1e-5, 1e-6));
  EXPECT_TRUE(nn::add_and_norm(*norm, x, row).equal(norm->forward(x + row)));

  int calls = 0;
  norm->register_forward_hook([&](torch::nn::Module&, const auto&, std::vector<at::Tensor>& results) {
    ++calls;
    results[0] = results[0] + 1;
  });
  EXPECT_TRUE(nn::add_and_norm(*norm, x, residual).equal(expected + 1));
  EXPECT_EQ(calls, 1);

  nn::LayerNorm of_matrices(nn::LayerNormOptions({5, 24}).elementwise_affine(false));
  EXPECT_TRUE(nn::add_and_norm(*of_matrices, x, residual).equal(of_matrices->forward(x + residual)));
}

}  // namespace
}  // namespace octet
