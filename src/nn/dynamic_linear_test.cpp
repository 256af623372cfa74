#include <octet/nn/dynamic_linear.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>
#include <support/threads.h>

#include <cmath>
#include <limits>
#include <sstream>

namespace octet {
namespace {

namespace dynamic = nn::quantized::dynamic;
using test::error_text;

std::shared_ptr<dynamic::LinearImpl> quantized(const torch::nn::Linear& linear, const QConfig& qconfig) {
  return dynamic::LinearImpl::from_float(*linear, qconfig, "fc");
}

/// The arithmetic of docs/arithmetic.md in plain loops: exact sums in int64, one fma on the way out.
at::Tensor plain_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& scale, const at::Tensor& bias,
                        bool per_row) {
  const int64_t m = x.size(0), k = x.size(1), n = weight.size(0);
  at::Tensor out = torch::empty({m, n});
  const auto xs = x.accessor<float, 2>();
  const auto ws = weight.accessor<int8_t, 2>();
  auto ys = out.accessor<float, 2>();
  for (int64_t r = 0; r < m; ++r) {
    const at::Tensor rows = per_row ? x[r] : x;
    const float min = std::min(rows.min().item<float>(), 0.0f), max = std::max(rows.max().item<float>(), 0.0f);
    // ATen chooses the dynamic qparams; Python's torch._choose_qparams_per_tensor is this function.
    const auto [s, z] = at::_choose_qparams_per_tensor(torch::tensor({min, max}), /*reduce_range=*/false);
    const float inverse = 1.0f / static_cast<float>(s);
    for (int64_t c = 0; c < n; ++c) {
      int64_t sum = 0;
      for (int64_t i = 0; i < k; ++i) {
        const float q = std::clamp(std::nearbyint(xs[r][i] * inverse) + static_cast<float>(z), 0.0f, 255.0f);
        sum += (static_cast<int64_t>(q) - z) * ws[c][i];
      }
      const float weight_scale = scale[scale.numel() > 1 ? c : 0].item<float>();
      ys[r][c] =
          std::fma(static_cast<float>(sum), static_cast<float>(s) * weight_scale, bias.defined() ? bias[c].item<float>() : 0.0f);
    }
  }
  return out;
}

TEST(DynamicLinear, HasTheIntegersOfTorchAoAndNoLessAccuracy) {
  const auto answers = test::load_oracle("nn/dynamic_linear");
  for (const c10::IValue& item : answers.at("cases").toListRef()) {
    const auto oracle = item.toGenericDict();
    const auto tensor = [&](const char* name) { return oracle.contains(name) ? oracle.at(name).toTensor() : at::Tensor(); };
    const std::string which = oracle.at("qconfig").toStringRef();
    const at::Tensor weight = tensor("weight"), bias = tensor("bias"), x = tensor("x");
    torch::nn::Linear linear(torch::nn::LinearOptions(weight.size(1), weight.size(0)).bias(bias.defined()));
    linear->weight = weight;
    linear->bias = bias;
    const auto module = quantized(linear, which == "float16"       ? float16_dynamic_qconfig
                                          : which == "per_channel" ? per_channel_dynamic_qconfig
                                                                   : default_dynamic_qconfig);
    const at::Tensor out = module->forward(x), expected = tensor("out"), float_out = tensor("float_out");
    if (which == "float16") {
      EXPECT_TRUE(at::allclose(out, expected, 1e-5, 1e-5)) << weight.sizes();
      continue;
    }
    EXPECT_TRUE(octet::int_repr(module->weight()).equal(tensor("int_repr"))) << which << weight.sizes();
    const nn::StateDict state = module->state_dict();
    EXPECT_TRUE(state["weight_scale"].to(at::kDouble).equal(tensor("scale"))) << which << weight.sizes();
    EXPECT_TRUE(out.equal(plain_linear(x, state["weight"], state["weight_scale"], bias, false))) << which << weight.sizes();
    // torch.ao quantizes activations to seven bits: its step is about twice ours, and both steps bound the distance.
    const float range = std::max(x.max().item<float>(), 0.0f) - std::min(x.min().item<float>(), 0.0f);
    const at::Tensor bound = weight.abs().sum(1) * range * (0.5f / 127 + 0.5f / 255) * 1.05f + 1e-5;
    EXPECT_TRUE(((out - expected).abs() <= bound).all().item<bool>()) << which << weight.sizes();
  }
}

TEST(DynamicLinear, IsExactWhereSaturatingKernelsAreNot) {
  // 255 * 127 * 2 does not fit int16: the sums of vpmaddubsw saturate there.
  torch::nn::Linear linear(torch::nn::LinearOptions(512, 16).bias(false));
  linear->weight = torch::full({16, 512}, 1.0f);
  const at::Tensor x = torch::full({3, 512}, 2.0f);
  for (const QConfig& qconfig : {default_dynamic_qconfig, per_channel_dynamic_qconfig, per_row_dynamic_qconfig}) {
    EXPECT_TRUE(at::allclose(quantized(linear, qconfig)->forward(x), torch::full({3, 16}, 1024.0f), 1e-2)) << qconfig;
  }
}

TEST(DynamicLinear, WithPerRowActivationsARowDoesNotDependOnTheOthers) {
  torch::manual_seed(2);
  torch::nn::Linear linear(96, 40);
  at::Tensor x = torch::randn({37, 96}) * torch::logspace(-3, 3, 37).unsqueeze(1);
  const auto module = quantized(linear, per_row_dynamic_qconfig);
  const at::Tensor all = module->forward(x);
  for (int64_t row = 0; row < x.size(0); ++row) EXPECT_TRUE(module->forward(x[row]).equal(all[row])) << row;
  const nn::StateDict state = module->state_dict();
  EXPECT_TRUE(all.equal(plain_linear(x, state["weight"], state["weight_scale"], linear->bias.detach(), true)));
  EXPECT_FALSE(quantized(linear, default_dynamic_qconfig)->forward(x)[0].equal(all[0]));
}

TEST(DynamicLinear, GivesTheSameBitsAtEveryThreadCount) {
  torch::manual_seed(3);
  torch::nn::Linear linear(300, 130);
  const at::Tensor x = torch::randn({70, 300});
  const auto module = quantized(linear, per_channel_dynamic_qconfig);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = module->forward(x);
  at::set_num_threads(4);
  EXPECT_TRUE(module->forward(x).equal(one));
  at::set_num_threads(threads);
}

TEST(DynamicLinear, MayBeCalledFromManyThreadsAtOnce) {
  torch::manual_seed(4);
  torch::nn::Linear linear(64, 64);
  const at::Tensor x = torch::randn({5, 64});
  const auto module = quantized(linear, default_dynamic_qconfig);
  const at::Tensor expected = module->forward(x);
  EXPECT_EQ(test::equal_results_of_four_threads(50, expected, [&] { return module->forward(x); }), 200);
}

TEST(DynamicLinear, TakesAnyLeadingShapeAndLayout) {
  torch::nn::Linear linear(6, 4);
  const auto module = quantized(linear, per_row_dynamic_qconfig);
  EXPECT_EQ(module->forward(torch::randn({6})).sizes(), (std::vector<int64_t>{4}));
  EXPECT_EQ(module->forward(torch::randn({2, 3, 6})).sizes(), (std::vector<int64_t>{2, 3, 4}));
  EXPECT_EQ(module->forward(torch::empty({0, 6})).sizes(), (std::vector<int64_t>{0, 4}));
  const at::Tensor strided = torch::randn({6, 5}).t();
  EXPECT_TRUE(module->forward(strided).equal(module->forward(strided.contiguous())));
  EXPECT_FALSE(module->forward(torch::randn({2, 6}).requires_grad_()).requires_grad());
}

TEST(DynamicLinear, RefusesInputThatItCannotTake) {
  const auto module = quantized(torch::nn::Linear(6, 4), default_dynamic_qconfig);
  const ModulePathScope scope("head.fc");
  EXPECT_EQ(error_text([&] { module->forward(torch::randn({2, 5})); }),
            "head.fc: got an input of shape [2, 5], expected [..., 6]");
  EXPECT_NE(error_text([&] { module->forward(torch::ones({2, 6}, torch::kHalf)); }).find("expected a float32 tensor on the CPU"),
            std::string::npos);
  EXPECT_NE(error_text([&] {
              module->forward(octet::quantize_per_tensor(torch::randn({2, 6}), 0.1, 3, quint8));
            }).find("takes float32"),
            std::string::npos);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    EXPECT_NE(error_text([&] { module->forward(torch::full({1, 6}, bad)); }).find("head.fc: the input holds NaN or infinite"),
              std::string::npos);
  }
}

TEST(DynamicLinear, RefusesWeightsAndQConfigsThatItCannotTake) {
  torch::nn::Linear linear(6, 4);
  EXPECT_NE(error_text([&] { quantized(linear, float_qparams_weight_only_qconfig); }).find("expected qint8 or float16"),
            std::string::npos);
  EXPECT_NE(error_text([&] { quantized(linear, QConfig()); }).find("observes no weight"), std::string::npos);
  torch::NoGradGuard no_grad;
  linear->weight[1][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(error_text([&] { quantized(linear, default_dynamic_qconfig); }).find("fc: weight: the weight holds NaN"),
            std::string::npos);
}

TEST(DynamicLinear, IsRebuiltFromItsState) {
  for (const QConfig& qconfig :
       {default_dynamic_qconfig, per_channel_dynamic_qconfig, per_row_dynamic_qconfig, float16_dynamic_qconfig}) {
    const auto module = quantized(torch::nn::Linear(33, 17), qconfig);
    const auto rebuilt = dynamic::LinearImpl::from_state(module->state_dict(), module->attributes(), "fc");
    const at::Tensor x = torch::randn({4, 33});
    EXPECT_TRUE(rebuilt->forward(x).equal(module->forward(x))) << qconfig;
  }
}

TEST(DynamicLinear, RefusesAStateThatIsNotWhole) {
  const auto module = quantized(torch::nn::Linear(3, 2), per_channel_dynamic_qconfig);
  const auto rebuild = [&](const std::function<void(nn::StateDict&)>& spoil) {
    return error_text([&] {
      nn::StateDict state = module->state_dict();
      spoil(state);
      dynamic::LinearImpl::from_state(state, module->attributes(), "fc");
    });
  };
  EXPECT_EQ(rebuild([](auto& state) { state.erase("weight_scale"); }), "fc: the tensor \"weight_scale\" is missing");
  EXPECT_NE(rebuild([](auto& state) { state["weight"] = torch::ones({2, 3}); }).find("expected int8 or half"), std::string::npos);
  EXPECT_NE(rebuild([](auto& state) { state["weight_scale"] = torch::zeros({2}); }).find("not positive and finite"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto& state) { state["weight_scale"] = torch::ones({5}); }).find("of shape [1] or [2]"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto& state) { state["weight_zero_point"] = torch::full({2}, 300, torch::kInt); }).find("-128 .. 127"),
            std::string::npos);
  EXPECT_NE(rebuild([](auto& state) { state["bias"] = torch::ones({3}); }).find("\"bias\""), std::string::npos);
}

TEST(DynamicLinear, PrintsWhatItIs) {
  std::ostringstream text;
  quantized(torch::nn::Linear(3, 2), per_row_dynamic_qconfig)->pretty_print(text);
  EXPECT_EQ(text.str(),
            "octet::nn::quantized::dynamic::Linear(in_features=3, out_features=2, dtype=qint8, "
            "qscheme=per_channel_symmetric, per_row=true)");
}

TEST(DynamicLinearReLU, IsTheLinearWithReLU) {
  torch::nn::Linear fc(64, 48);
  const auto module = nn::intrinsic::quantized::dynamic::LinearReLUImpl::from_float(*fc, default_dynamic_qconfig, "fc");
  const auto linear = quantized(fc, default_dynamic_qconfig);
  const at::Tensor x = torch::randn({4, 64});
  EXPECT_TRUE(module->forward(x).equal(torch::relu(linear->forward(x))));
  EXPECT_LT(module->weight_bytes(), 64 * 48 * 4 * 0.3);
}

}  // namespace
}  // namespace octet
