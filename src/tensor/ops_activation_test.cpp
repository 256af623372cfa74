#include "test_support.h"

namespace octet {
namespace {

namespace F = torch::nn::functional;
using test::expect_error;

TEST(ActivationOps, SoftmaxIsWithinHalfAStepOfFloats) {
  torch::manual_seed(25);
  for (const DType dtype : {quint8, qint8}) {
    for (const auto& values : test::in_all_layouts({2, 3, 4, 5})) {
      for (int64_t dim = -4; dim < 4; ++dim) {
        const auto q = quantize_per_tensor(values, 0.05, 60, dtype);
        const auto ours = torch::softmax(q, dim);
        EXPECT_EQ(quantizer(ours), Quantizer::per_tensor(1.0 / 256, info(dtype).quant_min, dtype));
        const auto expected = torch::softmax(octet::dequantize(q), dim).clamp_max(255.0 / 256);  // the greatest there is
        const auto error = (octet::dequantize(ours) - expected).abs().max().item<double>();
        EXPECT_LE(error, 0.5001 / 256) << dtype << " dim " << dim;
      }
    }
  }
  const auto sure = torch::softmax(quantize_per_tensor(torch::tensor({0.0F, 20.0F}), 0.1, 0, quint8), 0);
  EXPECT_TRUE(octet::int_repr(sure).equal(torch::tensor({0, 255}, torch::kByte)));
  expect_error([&] { torch::softmax(quantize_per_tensor(torch::randn({3}), 0.1, 0, qint32), 0); },
               "aten::_softmax: it is computed for 8-bit dtypes, not for qint32");
}

TEST(ActivationOps, PReluIsWithinHalfAStepOfFloats) {
  torch::manual_seed(26);
  for (const DType dtype : {quint8, qint8}) {
    for (const auto& values : test::in_all_layouts({2, 3, 4, 5})) {
      for (const auto& weight : {torch::tensor({0.25F}), torch::tensor({0.1F, -0.7F, 2.0F})}) {
        const auto q = quantize_per_tensor(values, 0.05, 100, dtype);
        const auto ours = F::prelu(q, weight);
        ASSERT_TRUE(is_quantized(ours));
        const auto expected = F::prelu(octet::dequantize(q), weight);
        EXPECT_LE((octet::dequantize(ours) - expected).abs().max().item<double>(), octet::q_scale(ours) * 0.5001);
        EXPECT_EQ(ours.strides(), expected.strides());
      }
    }
  }
  const auto integers = torch::tensor({0, 255}, torch::kByte);
  const auto spread = F::prelu(make_per_tensor_quantized(integers, 1, 100), torch::tensor({0.5F}));  // -50 .. 155
  EXPECT_NEAR(octet::q_scale(spread), 205.0 / 255, 1e-6);
}

}  // namespace
}  // namespace octet
