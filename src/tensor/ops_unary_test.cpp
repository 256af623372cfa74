#include <cmath>

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

// Each result is the nearest that its own scale has, for all 256 integers; and the scale spans the results.
TEST(UnaryOps, AreWithinHalfAStepOfTheFunction) {
  const std::vector<Case> cases{
      {"hardswish", {}, [](const auto& x) { return torch::hardswish(x); }},
      {"elu", {}, [](const auto& x) { return torch::elu(x, 1.3); }},
      {"celu", {}, [](const auto& x) { return torch::celu(x, 0.7); }},
      {"selu", {}, [](const auto& x) { return torch::selu(x); }},
      {"silu", {}, [](const auto& x) { return torch::silu(x); }},
      {"mish", {}, [](const auto& x) { return torch::mish(x); }},
      {"softplus", {}, [](const auto& x) { return torch::softplus(x); }},
      {"softshrink", {}, [](const auto& x) { return torch::softshrink(x, 0.4); }},
      {"hardshrink", {}, [](const auto& x) { return torch::hardshrink(x, 0.4); }},
      {"log_sigmoid", {}, [](const auto& x) { return torch::log_sigmoid(x); }},
      {"add", {}, [](const auto& x) { return x + 1.5; }},
      {"sub", {}, [](const auto& x) { return x - 0.3; }},
      {"rsub", {}, [](const auto& x) { return torch::rsub(x, 2); }},
      {"mul", {}, [](const auto& x) { return x * -0.3; }},
      {"div", {}, [](const auto& x) { return x / 7; }},
      {"pow", {}, [](const auto& x) { return x.pow(3); }},
      {"square", {}, [](const auto& x) { return x.square(); }},
      {"abs", {}, [](const auto& x) { return x.abs(); }},
      {"neg", {}, [](const auto& x) { return -x; }},
      {"sign", {}, [](const auto& x) { return x.sign(); }},
      {"exp", {}, [](const auto& x) { return x.exp(); }},
      {"expm1", {}, [](const auto& x) { return x.expm1(); }},
      {"sin", {}, [](const auto& x) { return x.sin(); }},
      {"atan", {}, [](const auto& x) { return x.atan(); }},
      {"erf", {}, [](const auto& x) { return x.erf(); }},
      {"floor", {}, [](const auto& x) { return x.floor(); }},
      {"tanh", {}, [](const auto& x) { return torch::tanh(x).clamp(-1, 127.0 / 128); }},
  };
  const auto every_byte = torch::arange(256, torch::kByte);
  for (const Case& one : cases) {
    for (const auto& integers : {every_byte, every_byte.view(torch::kChar)}) {
      for (const int64_t zero_point : {0, 50, 127}) {
        const auto q = make_per_tensor_quantized(integers, 0.03, zero_point);
        const auto ours = one.op(q);
        ASSERT_TRUE(is_quantized(ours)) << one.name;
        EXPECT_EQ(q_dtype(ours), q_dtype(q)) << one.name;
        const auto expected = one.op(octet::dequantize(q).to(torch::kDouble));
        const auto error = (octet::dequantize(ours) - expected).abs().max().item<double>();
        EXPECT_LE(error, octet::q_scale(ours) / 2 * 1.001 + 1e-6) << one.name << " zero point " << zero_point;
        EXPECT_LE(octet::q_scale(ours), std::max(2.0 / 255, 2 * expected.abs().max().item<double>() / 255) * 1.001) << one.name;
      }
    }
  }
}

TEST(UnaryOps, TakeTheSameScaleWhateverTheTensorHolds) {
  const auto one = make_per_tensor_quantized(torch::tensor({3}, torch::kByte), 0.1, 100);
  const auto other = make_per_tensor_quantized(torch::tensor({250, 7}, torch::kByte), 0.1, 100);
  EXPECT_EQ(quantizer(torch::silu(one)), quantizer(torch::silu(other)));
}

TEST(UnaryOps, KeepTheLayout) {
  const auto q = quantize_per_tensor(torch::randn({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast), 0.1, 0, qint8);
  EXPECT_TRUE(torch::sigmoid(q).is_contiguous(at::MemoryFormat::ChannelsLast));
  const auto part = q.transpose(1, 3).slice(2, 1, 3);
  EXPECT_TRUE(octet::dequantize(torch::sigmoid(part)).equal(octet::dequantize(torch::sigmoid(q)).transpose(1, 3).slice(2, 1, 3)));
  EXPECT_EQ(torch::sigmoid(quantize_per_tensor(torch::empty({2, 0}), 0.1, 0, qint8)).sizes(), at::IntArrayRef({2, 0}));
}

TEST(UnaryOps, KeepTheScaleInPlaceOrRefuse) {
  auto q = quantize_per_tensor(torch::tensor({-2.0F, -1.0F, 0.0F, 1.0F, 2.0F}), 0.03125, 100, quint8);
  const auto view = q.slice(0, 0, 2);
  EXPECT_TRUE(torch::leaky_relu_(q, 0.25).is_same(q));
  EXPECT_TRUE(octet::dequantize(q).equal(torch::tensor({-0.5F, -0.25F, 0.0F, 1.0F, 2.0F})));
  EXPECT_TRUE(octet::dequantize(view).equal(torch::tensor({-0.5F, -0.25F})));
  torch::elu_(q);
  EXPECT_NEAR(octet::dequantize(q)[0].item<double>(), std::expm1(-0.5), 0.016);
  EXPECT_EQ(octet::q_scale(q), 0.03125);
  const auto before = q.clone();
  expect_error([&] { q.exp_(); }, "aten::exp_: in place, the results in 0.0439369 .. 126.945 would not fit");
  EXPECT_TRUE(q.equal(before));
}

TEST(UnaryOps, RefuseElementsWithoutAFiniteResult) {
  const auto positive = quantize_per_tensor(torch::tensor({0.25F, 4.0F}), 0.0625, 10, quint8);
  EXPECT_TRUE(octet::dequantize(torch::sqrt(positive)).allclose(torch::tensor({0.5F, 2.0F}), 0, 0.01));
  const auto negative = quantize_per_tensor(torch::tensor({-0.25F, 4.0F}), 0.0625, 10, quint8);
  expect_error([&] { torch::sqrt(negative); },
               "aten::sqrt: the tensor holds values without a finite result; "
               "among its possible values there are 10, such as -0.625");
  const auto zeros = quantize_per_tensor(torch::zeros(2), 0.1, 0, quint8);
  expect_error([&] { torch::log(zeros); }, "aten::log: the tensor holds values without a finite result");
}

TEST(UnaryOps, HaveATableForEightBitsOnly) {
  const auto q = quantize_per_tensor(torch::randn({3}), 0.1, 0, qint32);
  expect_error([&] { torch::sigmoid(q); }, "aten::sigmoid: a table of all values is made for 8-bit dtypes, not for qint32");
}

}  // namespace
}  // namespace octet
