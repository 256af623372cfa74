#include <octet/nn/quantized_linear.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace octet {
namespace {

using nn::OutputQParams;
using test::error_text;

/// A Linear in a slot whose output was observed.
nn::Linear calibrated(int64_t in_features, int64_t out_features, bool bias, const QConfig& qconfig) {
  nn::Linear linear(nn::LinearOptions(in_features, out_features).bias(bias));
  const auto observer = qconfig.activation();
  observer->forward(linear->forward(torch::randn({50, in_features})).detach());
  nn::as_slot(*linear)->set_activation_post_process(observer);
  return linear;
}

TEST(QuantizedLinear, GivesTheExactSumsByTheFormula) {
  torch::manual_seed(1);
  for (const auto& [in, out, bias, relu, dtype] : {std::tuple{1, 1, true, false, quint8}, {7, 5, true, true, quint8},
                                                   {64, 33, false, false, qint8}, {200, 48, true, true, qint8}}) {
    const QConfig qconfig{MinMaxObserver::with_args(MinMaxObserverOptions().dtype(dtype)), default_per_channel_weight_observer};
    const nn::Linear linear = calibrated(in, out, bias, qconfig);
    std::shared_ptr<nn::LinearImpl::Implementation> module;
    if (relu) {
      module = nn::intrinsic::quantized::LinearReLUImpl::from_float(*linear, qconfig, "fc");
    } else {
      module = nn::quantized::LinearImpl::from_float(*linear, qconfig, "fc");
    }
    const at::Tensor x = quantize_per_tensor(torch::randn({3, 5, in}), 0.021, dtype == quint8 ? 130 : 7, dtype);
    const at::Tensor y = module->forward(x);
    ASSERT_EQ(y.sizes(), (std::vector<int64_t>{3, 5, out}));
    nn::StateDict state = module->state_dict();
    const double scale = state["scale"].item<float>();
    const int64_t zero_point = state["zero_point"].item<int64_t>();
    const at::Tensor centered = octet::int_repr(x).to(at::kLong).reshape({15, in}) - octet::q_zero_point(x);
    const at::Tensor sums = centered.matmul(state["weight"].to(at::kLong).t()).contiguous();
    const at::Tensor q = octet::int_repr(y).to(at::kLong).reshape({15, out}).contiguous();
    const float inverse = 1.0f / static_cast<float>(scale);
    for (int64_t r = 0; r < 15; ++r) {
      for (int64_t c = 0; c < out; ++c) {
        const float multiplier = 0.021f * state["weight_scale"][state["weight_scale"].numel() > 1 ? c : 0].item<float>() * inverse;
        const float offset = bias ? linear->bias[c].item<float>() * inverse : 0.0f;
        const float value = std::fma(static_cast<float>(sums[r][c].item<int64_t>()), multiplier, offset);
        const int64_t low = relu ? zero_point : info(dtype).quant_min;
        ASSERT_EQ(q[r][c].item<int64_t>(), std::clamp<int64_t>(std::lrint(value) + zero_point, low, info(dtype).quant_max));
      }
    }
  }
}

TEST(QuantizedLinear, WithLeakyReLUOrTanhIsRequantizedOnceBehindThem) {
  torch::manual_seed(2);
  const QConfig qconfig = default_per_channel_qconfig;
  const auto check_close = [](const at::Tensor& quantized, const at::Tensor& expected) {
    const double half_step = octet::q_scale(quantized) / 2;
    EXPECT_LE((octet::dequantize(quantized) - expected).abs().max().item<double>(), half_step * 1.001);
  };
  const at::Tensor x = quantize_per_tensor(torch::randn({20, 16}) * 0.5, 0.02, 128, quint8);

  nn::Linear leaky = calibrated(16, 8, true, qconfig);
  nn::as_slot(*leaky)->set_implementation(std::make_shared<nn::intrinsic::LinearLeakyReLUImpl>(0.3));
  const auto quantized_leaky = nn::intrinsic::quantized::LinearLeakyReLUImpl::from_float(*leaky, qconfig, "fc");
  const at::Tensor linear = at::linear(octet::dequantize(x), octet::dequantize(quantized_leaky->weight()), leaky->bias.detach());
  check_close(quantized_leaky->forward(x), at::leaky_relu(linear, 0.3));
  const auto again = nn::intrinsic::quantized::LinearLeakyReLUImpl::from_state(quantized_leaky->state_dict(),
                                                                               quantized_leaky->attributes(), "fc");
  EXPECT_TRUE(octet::int_repr(again->forward(x)).equal(octet::int_repr(quantized_leaky->forward(x))));

  const QConfig fixed{default_fixed_qparams_range_neg1to1_observer, qconfig.weight};
  nn::Linear tanh = calibrated(16, 8, true, fixed);
  const auto quantized_tanh = nn::intrinsic::quantized::LinearTanhImpl::from_float(*tanh, fixed, "fc");
  check_close(quantized_tanh->forward(x),
              at::tanh(at::linear(octet::dequantize(x), octet::dequantize(quantized_tanh->weight()), tanh->bias.detach())));
}

TEST(QuantizedLinear, NamesWhatItCannotTake) {
  const QConfig qconfig = default_qconfig;
  const nn::Linear linear = calibrated(4, 3, true, qconfig);
  const auto module = nn::quantized::LinearImpl::from_float(*linear, qconfig, "fc");
  EXPECT_NE(error_text([&] { module->forward(torch::ones({2, 4})); }).find("got a Float tensor for the input"), std::string::npos);
  EXPECT_NE(error_text([&] { module->forward(quantize_per_tensor(torch::ones({2, 5}), 0.1, 0, quint8)); })
                .find("got an input of shape [2, 5], expected [..., 4]"),
            std::string::npos);
  EXPECT_NE(error_text([&] { nn::quantized::LinearImpl::from_float(*linear, {qconfig.activation, float16_dynamic_qconfig.weight}, "fc"); })
                .find("float16 and quint4x2 are for quantize_dynamic()"),
            std::string::npos);
  EXPECT_NE(error_text([&] { nn::quantized::LinearImpl::from_float(*torch::nn::Linear(4, 3), qconfig, "fc"); })
                .find("fc: has no activation_post_process"),
            std::string::npos);
  EXPECT_NE(error_text([&] { nn::intrinsic::quantized::LinearLeakyReLUImpl::from_float(*linear, qconfig, "fc"); })
                .find("no LeakyReLU was fused into"),
            std::string::npos);
  EXPECT_EQ(module->forward(quantize_per_tensor(torch::empty({0, 4}), 0.1, 0, quint8)).sizes(), (std::vector<int64_t>{0, 3}));
}

}  // namespace
}  // namespace octet
