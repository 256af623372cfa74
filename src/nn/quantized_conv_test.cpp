#include <octet/nn/quantized_conv.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <support/oracle.h>
#include <torch/torch.h>

#include <memory>
#include <string>

namespace octet {
namespace {

using test::error_text;
using Case = c10::Dict<c10::IValue, c10::IValue>;

/// What `Quantized`, made of an oracle's case, gives.
template <class Quantized, size_t D>
at::Tensor output_of(const Case& oracle, at::Tensor* weight) {
  const at::Tensor float_weight = oracle.at("weight").toTensor();
  const bool transposed = oracle.at("transposed").toBool();
  const at::Tensor chosen = oracle.at("options").toTensor();
  const int64_t* const numbers = chosen.const_data_ptr<int64_t>();  // stride, padding, dilation, groups, output_padding
  torch::nn::detail::ConvNdOptions<D> options(8, 12, 3);
  options.stride(numbers[0]).padding(numbers[1]).dilation(numbers[2]).groups(numbers[3]).transposed(transposed);
  if (transposed) options.output_padding(numbers[4]);
  if (oracle.at("padding_mode").toStringRef() == "reflect") options.padding_mode(torch::kReflect);
  const auto params = nn::quantized::ConvPackedParams::from_float(
      float_weight, oracle.at("bias").toTensor(), nn::quantized::ConvolutionOptions::from(options),
      oracle.at("per_channel").toBool() ? default_per_channel_qconfig : default_qconfig, "conv");
  const nn::OutputQParams output{oracle.at("scale").toDouble(), oracle.at("zero_point").toInt(), quint8, 0, 255};
  Quantized module(params, output);
  *weight = octet::int_repr(module.weight());
  const at::Tensor x = make_per_tensor_quantized(oracle.at("x").toTensor(), 0.031, 117);
  if constexpr (requires { module.forward(x, std::nullopt); }) {
    return octet::int_repr(module.forward(x, std::nullopt));
  } else {
    return octet::int_repr(module.forward(x));
  }
}

using OutputOf = at::Tensor (*)(const Case& oracle, at::Tensor* weight);

/// By dimensions less one: plain, with ReLU, transposed.
OutputOf find_output_of(const Case& oracle) {
  namespace q = nn::quantized;
  namespace f = nn::intrinsic::quantized;
  static constexpr OutputOf kPlain[] = {output_of<q::Conv1dImpl, 1>, output_of<q::Conv2dImpl, 2>, output_of<q::Conv3dImpl, 3>};
  static constexpr OutputOf kFused[] = {output_of<f::ConvReLU1dImpl, 1>, output_of<f::ConvReLU2dImpl, 2>,
                                        output_of<f::ConvReLU3dImpl, 3>};
  static constexpr OutputOf kTransposed[] = {output_of<q::ConvTranspose1dImpl, 1>, output_of<q::ConvTranspose2dImpl, 2>,
                                             output_of<q::ConvTranspose3dImpl, 3>};
  const int64_t i = oracle.at("dimensions").toInt() - 1;
  return oracle.at("transposed").toBool() ? kTransposed[i] : oracle.at("relu").toBool() ? kFused[i] : kPlain[i];
}

TEST(QuantizedConv, IsWithinAStepOfTorchAoAndMostlyEqual) {
  const auto answers = test::load_oracle("nn/quantized_conv");
  int64_t elements = 0, different = 0;
  for (const c10::IValue& item : answers.at("cases").toListRef()) {
    const Case oracle = item.toGenericDict();
    const std::string which =
        c10::str(oracle.at("dimensions").toInt(), "d transposed ", oracle.at("transposed").toBool(), " options ",
                 oracle.at("options").toTensor(), " ", oracle.at("padding_mode").toStringRef());
    at::Tensor weight;
    const at::Tensor out = find_output_of(oracle)(oracle, &weight), expected = oracle.at("out").toTensor();
    ASSERT_TRUE(weight.equal(oracle.at("weight_int_repr").toTensor())) << which;
    ASSERT_EQ(out.sizes(), expected.sizes()) << which;
    const at::Tensor steps = (out.to(at::kInt) - expected.to(at::kInt)).abs();
    EXPECT_LE(steps.max().item<int>(), 1) << which;
    EXPECT_GE((steps == 0).to(at::kDouble).mean().item<double>(), 0.98) << which;
    elements += steps.numel();
    different += (steps != 0).sum().item<int64_t>();
  }
  EXPECT_LE(static_cast<double>(different), 0.005 * static_cast<double>(elements)) << different << " of " << elements;
}

TEST(QuantizedConv, TakesTheScaleOfItsSlotsObserverAndComesBackFromItsState) {
  torch::manual_seed(1);
  nn::ConvTranspose2d up(torch::nn::ConvTranspose2dOptions(4, 6, 3).stride(2).groups(2));
  const QConfig qconfig = default_per_channel_qconfig;
  EXPECT_NE(error_text([&] {
              nn::quantized::ConvTranspose2dImpl::from_float(*up, qconfig, "up");
            }).find("up: has no activation_post_process"),
            std::string::npos);
  const auto observer = qconfig.activation();
  nn::as_slot(*up)->set_activation_post_process(observer);
  EXPECT_NE(error_text([&] {
              nn::quantized::ConvTranspose2dImpl::from_float(*up, qconfig, "up");
            }).find("up: its observer MinMaxObserver"),
            std::string::npos);
  observer->forward(torch::tensor({-1.f, 3.f}));
  const auto module = nn::quantized::ConvTranspose2dImpl::from_float(*up, qconfig, "up");
  EXPECT_EQ(module->output().scale, observer->calculate_qparams().scale.item<double>());
  const auto again = nn::quantized::ConvTranspose2dImpl::from_state(module->state_dict(), module->attributes(), "up");
  const at::Tensor x = quantize_per_tensor(torch::randn({1, 4, 5, 5}), 0.03, 128, quint8);
  EXPECT_TRUE(octet::int_repr(again->forward(x, std::nullopt)).equal(octet::int_repr(module->forward(x, std::nullopt))));
  EXPECT_NE(error_text([&] {
              nn::quantized::Conv2dImpl::from_state(module->state_dict(), module->attributes(), "up");
            }).find("the attributes are those of a transposed convolution over 2 dimensions"),
            std::string::npos);
  const std::vector<int64_t> other{12, 12};
  EXPECT_NE(error_text([&] { module->forward(x, at::IntArrayRef(other)); }).find("got the output size [12, 12]"),
            std::string::npos);
}

TEST(QuantizedConv, AddsAndRectifiesInOne) {
  torch::manual_seed(2);
  nn::intrinsic::ConvAddReLU2d conv(torch::nn::Conv2dOptions(3, 4, 3).padding(1));
  const at::Tensor x = torch::randn({2, 3, 5, 5}), residual = torch::randn({2, 4, 5, 5});
  const at::Tensor expected = conv->forward(x, residual).detach();
  EXPECT_TRUE(expected.equal(torch::relu(at::conv2d(x, conv->weight, conv->bias, 1, 1) + residual)));
  const auto observer = default_qconfig.activation();
  observer->forward(expected);
  nn::as_slot(*conv)->set_activation_post_process(observer);
  nn::as_slot(*conv)->set_implementation(
      nn::intrinsic::quantized::ConvAddReLU2dImpl::from_float(*conv, default_per_channel_qconfig, "conv"));
  const at::Tensor q = quantize_per_tensor(x, 0.03, 128, quint8), r = quantize_per_tensor(residual, 0.03, 128, quint8);
  nn::as_slot(*conv)->set_activation_post_process(nullptr);
  EXPECT_GT(test::sqnr_db(expected, octet::dequantize(conv->forward(q, r))), 30);
}

}  // namespace
}  // namespace octet
