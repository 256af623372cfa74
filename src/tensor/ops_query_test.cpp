#include <ATen/autocast_mode.h>

#include "test_support.h"

namespace octet {
namespace {

using test::expect_error;

at::Tensor example() { return quantize_per_tensor(torch::tensor({{-1.0F, 0.0F}, {1.5F, 2.0F}}), 0.25, 100, quint8); }

TEST(QueryOps, AnswerForTheValues) {
  const auto q = example();
  const auto values = octet::dequantize(q);
  const auto other = quantize_per_tensor(values, 0.5, -10, qint8);  // other integers, the same values
  EXPECT_TRUE(q.equal(other));
  EXPECT_TRUE(q.allclose(values));
  EXPECT_TRUE(q.isclose(other).all().item<bool>());
  EXPECT_TRUE(q.eq(other).all().item<bool>());
  EXPECT_TRUE((q > 0).equal(values > 0));
  EXPECT_TRUE((q <= torch::tensor({0.0F, 1.0F})).equal(values <= torch::tensor({0.0F, 1.0F})));
  EXPECT_TRUE(q.ne(0).equal(values.ne(0)));
  EXPECT_TRUE(q.nonzero().equal(values.nonzero()));
  EXPECT_TRUE(torch::count_nonzero(q).equal(torch::count_nonzero(values)));
  EXPECT_FALSE(q.isnan().any().item<bool>());
  EXPECT_FALSE(q.all().item<bool>());
  EXPECT_TRUE(q.any().item<bool>());
  EXPECT_EQ(q[1][0].item<float>(), 1.5F);
  EXPECT_TRUE(q.is_same_size(values));
  EXPECT_FALSE(q.equal(torch::relu(q)));
}

TEST(QueryOps, AreNotWrittenIntoTheirTensor) {
  auto q = example();
  expect_error([&] { q.eq_(0); }, "aten::eq_: the answer of a comparison can't be written into a quantized tensor");
  EXPECT_TRUE(q.equal(example()));
}

TEST(Conversions, KeepTheTensorOrGiveItsValuesInFloat64) {
  const auto q = example();
  EXPECT_TRUE(q.to(torch::kCPU).is_same(q));
  EXPECT_TRUE(q.to(torch::kFloat).is_same(q));
  const auto doubles = q.to(torch::kDouble);
  EXPECT_FALSE(is_quantized(doubles));
  EXPECT_TRUE(doubles.equal(octet::dequantize(q).to(torch::kDouble)));
}

TEST(Conversions, RefuseToLoseTheIntegersUnseen) {
  const auto q = example();
  expect_error([&] { q.to(torch::kHalf); }, "aten::_to_copy: a quantized tensor has no conversion to Half");
  expect_error([&] { q.to(torch::kLong); }, "no conversion to Long");
  expect_error([&] { q.to(torch::Device("xla:0")); }, "quantized tensors live on the CPU, not on xla:0");
  expect_error([&] { q.to(torch::kByte).sum(); }, "no conversion to Byte");
}

TEST(Conversions, RefuseWhatAutocastWouldDo) {
  const auto q = example();
  const auto weight = torch::ones({2, 2});
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const std::string text = test::error_text([&] { torch::matmul(q, weight); });
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  EXPECT_NE(text.find("aten::"), std::string::npos) << text;
}

}  // namespace
}  // namespace octet
