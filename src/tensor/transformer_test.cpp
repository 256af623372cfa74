// Beside ATen, which computes in another order; the kernels' own tests compare bits.

#include <octet/tensor/quantize.h>
#include <octet/tensor/transformer.h>

#include <torch/torch.h>

#include <gtest/gtest.h>

#include <limits>

namespace octet {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

/// As a linear map leaves it: [batch, length, heads, dim] seen as [batch, heads, length, dim].
at::Tensor random_heads(int64_t length, int64_t dim) { return torch::randn({2, length, 3, dim}).transpose(1, 2); }

bool are_close(const at::Tensor& a, const at::Tensor& b) { return at::allclose(a, b, 1e-5, 1e-6); }

TEST(Transformer, AttendsAsATenDoesWithMasksOfAnyKind) {
  const torch::NoGradGuard no_grad;
  const at::Tensor q = random_heads(21, 20), k = random_heads(34, 20), v = random_heads(34, 9);
  const at::Tensor keep = torch::rand({2, 1, 1, 34}) < 0.7, causal = at::ones({21, 34}, at::kBool).tril();
  for (const auto& mask : {std::optional<at::Tensor>(), std::optional(keep), std::optional(causal),
                           std::optional(torch::randn({2, 3, 21, 34})), std::optional(torch::randn({1, 34}))}) {
    for (const std::optional<double> scale : {std::optional<double>(), std::optional(0.3)}) {
      const at::Tensor out = octet::scaled_dot_product_attention(q, k, v, mask, scale);
      EXPECT_TRUE(are_close(out, at::scaled_dot_product_attention(q, k, v, mask, 0.0, false, scale)));
      EXPECT_TRUE(out.transpose(1, 2).is_contiguous());
    }
  }
  const at::Tensor columns_apart = k.transpose(2, 3).contiguous().transpose(2, 3);
  EXPECT_TRUE(octet::scaled_dot_product_attention(q, columns_apart, v).equal(octet::scaled_dot_product_attention(q, k, v)));
}

TEST(Transformer, AttendsTheSameWithAnyNumberOfThreads) {
  const torch::NoGradGuard no_grad;
  const at::Tensor q = random_heads(300, 16), k = random_heads(200, 16), v = random_heads(200, 16);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor alone = octet::scaled_dot_product_attention(q, k, v);
  at::set_num_threads(3);
  EXPECT_TRUE(octet::scaled_dot_product_attention(q, k, v).equal(alone));
  at::set_num_threads(threads);
}

TEST(Transformer, WhatTheKernelsDoNotTakeIsATens) {
  const at::Tensor q = random_heads(5, 8), k = random_heads(6, 8), v = random_heads(6, 8);
  const auto same = [](const at::Tensor& ours, const at::Tensor& atens) {
    return ours.scalar_type() == atens.scalar_type() && ours.sizes() == atens.sizes() && at::allclose(ours, atens);
  };
  EXPECT_TRUE(same(octet::scaled_dot_product_attention(q[0], k[0], v[0]), at::scaled_dot_product_attention(q[0], k[0], v[0])));
  const at::Tensor dq = q.to(at::kDouble), dk = k.to(at::kDouble), dv = v.to(at::kDouble);
  EXPECT_TRUE(same(octet::scaled_dot_product_attention(dq, dk, dv), at::scaled_dot_product_attention(dq, dk, dv)));
  EXPECT_THROW(octet::scaled_dot_product_attention(q, k, v, torch::randn({6})), c10::Error);
  EXPECT_THROW(octet::scaled_dot_product_attention(q, k, v, torch::randn({2, 3, 4, 6})), c10::Error);
  EXPECT_TRUE(same(octet::gelu(dq), at::gelu(dq)));
  EXPECT_TRUE(same(octet::layer_norm(dq, dq, {}, {}, 1e-5), at::layer_norm(dq + dq, {8})));
  const at::Tensor empty = at::empty({0, 8});
  EXPECT_EQ(octet::layer_norm(empty, empty, at::ones({8}), at::zeros({8}), 1e-5).sizes(), empty.sizes());
}

TEST(Transformer, GradientsFlow) {
  const at::Tensor q = random_heads(5, 8).contiguous().requires_grad_(), k = random_heads(6, 8), v = random_heads(6, 8);
  octet::scaled_dot_product_attention(q, k, v).sum().backward();
  EXPECT_TRUE(q.grad().defined());
  const at::Tensor x = torch::randn({4, 8}).requires_grad_(), weight = at::ones({8}).requires_grad_();
  (octet::gelu(x) + octet::layer_norm(x, x.detach(), weight, at::zeros({8}), 1e-5)).sum().backward();
  EXPECT_TRUE(x.grad().defined() && weight.grad().defined());
}

TEST(Transformer, GeluAndLayerNormAreATensToTheLastDigits) {
  const torch::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({3, 5, 40}) * 3, residual = torch::randn({3, 5, 40}), weight = torch::randn({40}),
                   bias = torch::randn({40});
  EXPECT_TRUE(are_close(octet::gelu(x), at::gelu(x)));
  EXPECT_TRUE(are_close(octet::gelu(x.transpose(0, 1)), at::gelu(x.transpose(0, 1))));
  EXPECT_TRUE(
      are_close(octet::layer_norm(x, residual, weight, bias, 1e-5), at::layer_norm(x + residual, {40}, weight, bias, 1e-5)));
  EXPECT_TRUE(are_close(octet::layer_norm(x, {}, weight, bias, 1e-5), at::layer_norm(x, {40}, weight, bias, 1e-5)));
  const at::Tensor broadcast = torch::randn({40});
  EXPECT_TRUE(
      are_close(octet::layer_norm(x, broadcast, weight, bias, 1e-5), at::layer_norm(x + broadcast, {40}, weight, bias, 1e-5)));
}

TEST(Transformer, AQueryThatMayAttendToNothingGivesNaNAlone) {
  const torch::NoGradGuard no_grad;
  const at::Tensor q = random_heads(4, 8), k = random_heads(6, 8), v = random_heads(6, 8);
  at::Tensor bias = at::zeros({4, 6});
  bias[2].fill_(kMinusInfinity);
  const at::Tensor out = octet::scaled_dot_product_attention(q, k, v, bias), open = octet::scaled_dot_product_attention(q, k, v);
  EXPECT_TRUE(out.select(2, 2).isnan().all().item<bool>());
  EXPECT_TRUE(out.slice(2, 0, 2).equal(open.slice(2, 0, 2)));
}

}  // namespace
}  // namespace octet
