#include <octet/kernels/isa.h>
#include <octet/nn/dynamic_linear.h>
#include <octet/nn/transformer.h>
#include <octet/observe/default_observers.h>
#include <octet/observe/default_qconfigs.h>

#include <torch/torch.h>

#include <gtest/gtest.h>

#include <functional>

namespace octet {
namespace {

/// Linear maps in slots, each quantized under a qconfig.
std::vector<nn::Linear> quantized_linears(const std::vector<QConfig>& qconfigs) {
  std::vector<nn::Linear> linears;
  for (const QConfig& qconfig : qconfigs) {
    nn::Linear linear(24, 40);
    linear->set_implementation(nn::quantized::dynamic::LinearImpl::from_float(*linear, qconfig, "fc"));
    linears.push_back(linear);
  }
  return linears;
}

std::vector<at::Tensor> outputs(const std::vector<nn::Linear>& linears, const at::Tensor& x) {
  std::vector<at::Tensor> all;
  for (nn::Linear linear : linears) all.push_back(linear->forward(x));
  return all;
}

bool are_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  return std::ranges::equal(a, b, [](const at::Tensor& one, const at::Tensor& other) { return one.equal(other); });
}

/// How often kernels are called.
uint64_t kernel_calls(const std::function<void()>& run) {
  const kernels::Isa isa = kernels::selected_isa();
  const uint64_t before = kernels::served_calls(isa);
  run();
  return kernels::served_calls(isa) - before;
}

TEST(SharedInput, GivesTheSameBitsWhateverTheLinearMapsAre) {
  const QConfig affine{default_dynamic_quant_observer,
                       MinMaxObserver::with_args(MinMaxObserver::Options().dtype(qint8).qscheme(per_tensor_affine))};
  const auto linears = quantized_linears({default_dynamic_qconfig, per_channel_dynamic_qconfig, affine, float16_dynamic_qconfig,
                                          per_row_dynamic_qconfig, int4_weight_only_qconfig(32), per_row_dynamic_qconfig,
                                          default_dynamic_qconfig});
  for (const at::Tensor& x : {torch::randn({3, 5, 24}), torch::randn({24, 5}).t(), torch::randn({24}), torch::randn({0, 24})}) {
    const auto expected = outputs(linears, x);
    const nn::SharedInput shared(x);
    EXPECT_TRUE(are_equal(outputs(linears, x), expected)) << x.sizes();
  }
}

TEST(SharedInput, QuantizesOnce) {
  const auto linears = quantized_linears({default_dynamic_qconfig, default_dynamic_qconfig, default_dynamic_qconfig});
  const at::Tensor x = torch::randn({4, 24});
  const uint64_t apart = kernel_calls([&] { outputs(linears, x); });
  const uint64_t together = kernel_calls([&] {
    const nn::SharedInput shared(x);
    outputs(linears, x);
  });
  EXPECT_EQ(apart, 3 * 3);  // range, integers, product
  EXPECT_EQ(together, 2 + 3);
  EXPECT_EQ(kernel_calls([&] { outputs(linears, x); }), apart);  // when it is gone
}

TEST(SharedInput, IsOfOneTensorAndSeveralLiveSideBySide) {
  const auto linears = quantized_linears({default_dynamic_qconfig, default_dynamic_qconfig});
  const at::Tensor x = torch::randn({4, 24}), y = torch::randn({6, 24}) * 3;
  const auto of_x = outputs(linears, x), of_y = outputs(linears, y);
  const nn::SharedInput first(x);
  EXPECT_TRUE(are_equal(outputs(linears, y), of_y));
  {
    const nn::SharedInput second(y);
    EXPECT_TRUE(are_equal(outputs(linears, x), of_x));
    EXPECT_TRUE(are_equal(outputs(linears, y), of_y));
  }
  EXPECT_TRUE(are_equal(outputs(linears, x), of_x));
}

TEST(SharedInput, ReachesThroughPreHooksOnlyWhereTheyLeaveTheInput) {
  auto linears = quantized_linears({default_dynamic_qconfig, default_dynamic_qconfig});
  linears[1]->register_forward_pre_hook([](torch::nn::Module&, std::vector<at::Tensor>& inputs) { inputs[0] = inputs[0] * 2; });
  const at::Tensor x = torch::randn({4, 24});
  const auto expected = outputs(linears, x);
  const nn::SharedInput shared(x);
  EXPECT_TRUE(are_equal(outputs(linears, x), expected));
}

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
