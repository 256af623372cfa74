#include <octet/tensor/quantized_tensor.h>

#include <sstream>
#include <thread>

#include "test_support.h"

namespace octet {
namespace {

using test::expect_error;

at::Tensor example(DType dtype = quint8) {
  torch::manual_seed(5);
  return quantize_per_tensor(torch::randn({2, 3, 4, 5}), 0.1, dtype == qint8 ? -3 : 100, dtype);
}

TEST(QuantizedTensor, LooksLikeAFloatTensorAndIsNone) {
  const auto q = example();
  EXPECT_TRUE(is_quantized(q));
  EXPECT_EQ(q.scalar_type(), at::kFloat);
  EXPECT_EQ(q.sizes(), at::IntArrayRef({2, 3, 4, 5}));
  EXPECT_EQ(q.strides(), at::IntArrayRef({60, 20, 5, 1}));
  EXPECT_TRUE(q.is_contiguous());
  EXPECT_TRUE(q.device().is_cpu());
  EXPECT_EQ(q_dtype(q), quint8);
  EXPECT_EQ(qscheme(q), per_tensor_affine);
  EXPECT_EQ(octet::int_repr(q).scalar_type(), at::kByte);
  EXPECT_ANY_THROW(q.data_ptr<float>());
  EXPECT_ANY_THROW((q.accessor<float, 4>()));
  EXPECT_FALSE(is_quantized(torch::ones(2)));
  EXPECT_FALSE(is_quantized(at::Tensor()));
}

TEST(QuantizedTensor, AnswersTheMethodsOfTensor) {
  const auto q = example();
  EXPECT_EQ(q.q_scale(), 0.1);
  EXPECT_EQ(q.q_zero_point(), 100);
  EXPECT_TRUE(q.int_repr().equal(octet::int_repr(q)));
  EXPECT_FALSE(q.int_repr().is_alias_of(octet::int_repr(q)));
  EXPECT_TRUE(q.dequantize().equal(octet::dequantize(q)));
  const auto per_channel = quantize_per_channel(torch::randn({3, 2}), torch::ones(3), torch::zeros(3, torch::kInt), 0, qint8);
  EXPECT_TRUE(per_channel.q_per_channel_scales().equal(torch::ones(3, torch::kDouble)));
  EXPECT_TRUE(per_channel.q_per_channel_zero_points().equal(torch::zeros(3, torch::kLong)));
  EXPECT_EQ(per_channel.q_per_channel_axis(), 0);
}

TEST(QuantizedTensor, SaysWhichQuestionItCantAnswer) {
  const auto per_channel = quantize_per_channel(torch::randn({3, 2}), torch::ones(3), torch::zeros(3, torch::kInt), 0, qint8);
  expect_error([&] { octet::q_scale(per_channel); },
               "q_scale: the tensor's scheme is per_channel_affine; use q_per_channel_scales()");
  expect_error([&] { octet::q_per_channel_axis(example()); }, "scheme is per_tensor_affine; use q_scale()");
  expect_error([&] { octet::int_repr(torch::ones({2, 3})); },
               "int_repr: the tensor is not quantized but plain Float of sizes [2, 3]");
  expect_error([&] { octet::q_scale(at::Tensor()); }, "not quantized but undefined");
}

TEST(QuantizedTensor, IsMadeOfIntegersWithoutACopy) {
  const auto integers = torch::tensor({0, 1, 2, 255}, torch::kByte);
  const auto q = make_per_tensor_quantized(integers, 0.5, 1);
  EXPECT_TRUE(octet::int_repr(q).is_alias_of(integers));
  EXPECT_TRUE(octet::dequantize(q).equal(torch::tensor({-0.5F, 0.0F, 0.5F, 127.0F})));
  EXPECT_EQ(q_dtype(make_per_tensor_quantized(integers.to(torch::kChar), 1, 0)), qint8);
  EXPECT_EQ(q_dtype(make_per_tensor_quantized(integers.to(torch::kInt), 1, 0)), qint32);
  const auto per_channel = make_per_channel_quantized(integers.view({2, 2}), torch::tensor({1.0, 2.0}), torch::tensor({0, 1}), 1);
  EXPECT_TRUE(octet::dequantize(per_channel).equal(torch::tensor({{0.0F, 0.0F}, {2.0F, 508.0F}})));
  expect_error([&] { make_per_tensor_quantized(integers.to(torch::kLong), 1, 0); },
               "the integers are Long; expected Byte, Char or Int");
  expect_error([&] { make_quantized(integers, Quantizer::per_tensor(1, 0, qint8)); }, "the integers are Byte; expected Char");
  expect_error([&] { make_quantized(q, Quantizer::per_tensor(1, 0, quint8)); }, "the integers are Float; expected Byte");
}

TEST(QuantizedTensor, IsMadeOfPackedBytes) {
  const auto values = torch::tensor({{0.0F, 1.0F, 2.0F}, {3.0F, 4.0F, 15.0F}});
  const auto q = quantize_per_tensor(values, 1, 0, quint4x2);
  EXPECT_TRUE(octet::int_repr(q).equal(torch::tensor({0x10, 0x32, 0xf4}, torch::kByte)));
  const auto again = make_quantized(octet::int_repr(q), quantizer(q), q.sizes());
  EXPECT_TRUE(octet::dequantize(again).equal(values));
  expect_error([&] { make_quantized(octet::int_repr(q), quantizer(q)); }, "do not tell the sizes of their tensor");
  expect_error([&] { make_quantized(octet::int_repr(q), quantizer(q), {{2, 4}}); }, "have sizes [3]; expected [4]");
}

TEST(QuantizedTensor, PrintsItsValues) {
  std::ostringstream ours;
  std::ostringstream floats;
  const auto q = example();
  ours << q;
  floats << octet::dequantize(q);
  const auto numbers = floats.str().substr(0, floats.str().rfind('['));  // what follows is the type
  EXPECT_EQ(ours.str().substr(0, numbers.size()), numbers);
}

TEST(QuantizedTensor, SurvivesCloneDetachAndMemoryFormats) {
  for (const DType dtype : {quint8, qint8, qint32}) {
    const auto q = example(dtype);
    for (const auto& copy :
         {q.clone(), q.contiguous(at::MemoryFormat::ChannelsLast), q.detach(), q.to(torch::kCPU), q.to(torch::kFloat),
          q.to(q.options(), false, true), q.alias(), q.variable_data(), q.clone(at::MemoryFormat::ChannelsLast)}) {
      ASSERT_TRUE(is_quantized(copy));
      EXPECT_EQ(quantizer(copy), quantizer(q));
      EXPECT_TRUE(octet::int_repr(copy).equal(octet::int_repr(q)));
    }
    EXPECT_FALSE(octet::int_repr(q.clone()).is_alias_of(octet::int_repr(q)));
    EXPECT_TRUE(octet::int_repr(q.detach()).is_alias_of(octet::int_repr(q)));
    EXPECT_TRUE(q.contiguous().is_same(q));
    const auto channels_last = q.contiguous(at::MemoryFormat::ChannelsLast);
    EXPECT_TRUE(channels_last.is_contiguous(at::MemoryFormat::ChannelsLast));
    EXPECT_EQ(channels_last.strides(), at::IntArrayRef({60, 1, 15, 3}));
    EXPECT_TRUE(channels_last.contiguous().is_contiguous());
    EXPECT_EQ(channels_last.clone().strides(), channels_last.strides());
  }
}

TEST(QuantizedTensor, PackedOnesAreCopiedDetachedAndComparedAsAWhole) {
  const auto q = quantize_per_channel(torch::rand({3, 5}), torch::full({3}, 0.1), torch::zeros(3), 0, quint4x2);
  for (const auto& copy : {q.clone(), q.detach(), q.contiguous()}) {
    ASSERT_TRUE(is_quantized(copy));
    EXPECT_EQ(copy.sizes(), at::IntArrayRef({3, 5}));
    EXPECT_TRUE(copy.equal(q));
    EXPECT_TRUE(octet::dequantize(copy).equal(octet::dequantize(q)));
  }
  expect_error([&] { q.view({5, 3}); }, "aten::view: this op has no arithmetic for quint4x2 tensors");
}

TEST(QuantizedTensor, WorksWithoutGradientsInInferenceModeAndBesideGradients) {
  const auto use = [](const at::Tensor& q) {
    const auto result = torch::flatten(torch::max_pool2d(torch::relu(q.transpose(2, 3)), 2), 1).slice(1, 0, 4);
    EXPECT_TRUE(is_quantized(result));
    EXPECT_FALSE(result.requires_grad());
    return octet::dequantize(result);
  };
  const auto q = example();
  const auto expected = use(q);
  {
    const at::NoGradGuard guard;
    EXPECT_TRUE(use(q).equal(expected));
  }
  {
    const c10::InferenceMode guard;
    EXPECT_TRUE(use(q).equal(expected));
    EXPECT_TRUE(use(example()).equal(expected));
  }
  const auto weight = torch::ones({4}, torch::requires_grad());
  const auto sum = (use(q) * weight).sum();
  sum.backward();
  EXPECT_TRUE(weight.grad().equal(expected.sum(0)));
}

TEST(QuantizedTensor, IsMadeOfTensorsThatRequireGradients) {
  const auto values = torch::randn({2, 3}, torch::requires_grad());
  const auto q = quantize_per_tensor(values, 0.1, 0, qint8);
  EXPECT_FALSE(q.requires_grad());
  EXPECT_FALSE(octet::int_repr(q).requires_grad());
  EXPECT_FALSE(octet::dequantize(q).requires_grad());
  const auto weights = quantize_per_channel(values, torch::rand({2}, torch::requires_grad()) + 0.1, torch::zeros(2), 0, quint8);
  EXPECT_FALSE(octet::q_per_channel_scales(weights).requires_grad());
}

TEST(QuantizedTensor, IsUsedFromManyThreadsAtOnce) {
  const auto q = example();
  const auto expected = octet::int_repr(torch::sigmoid(torch::relu(q)));
  std::vector<std::thread> threads;
  std::atomic<int> equal = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) equal += octet::int_repr(torch::sigmoid(torch::relu(q))).equal(expected);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(equal, 400);
}

}  // namespace
}  // namespace octet
