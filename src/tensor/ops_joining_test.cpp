#include "test_support.h"

namespace octet {
namespace {

using test::expect_error;

TEST(JoiningOps, GiveAtensIntegers) {
  torch::manual_seed(14);
  for (const DType dtype : {quint8, qint8}) {
    for (const auto& sizes : std::vector<std::vector<int64_t>>{{2, 3, 4, 5}, {3, 4}, {2, 1}}) {
      for (int64_t dim = 0; dim < static_cast<int64_t>(sizes.size()); ++dim) {
        for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
          if (format == at::MemoryFormat::ChannelsLast && sizes.size() != 4) continue;
          const auto values = [&] { return (torch::randn(sizes) * 3).contiguous(format); };
          // Even zero points: with odd ones ATen's float addition before the rounding puts ties elsewhere.
          const test::Twins a(values(), 0.05, 64, dtype);
          const test::Twins b(values(), 0.11, 30, dtype);
          const test::Twins c(values(), 0.05, 64, dtype);
          const auto what = c10::str(dtype, " ", sizes, " dim ", dim);
          test::expect_twins(torch::cat({a.ours, b.ours, c.ours}, dim), torch::cat({a.atens, b.atens, c.atens}, dim), what);
          test::expect_twins(torch::stack({b.ours, a.ours}, dim), torch::stack({b.atens, a.atens}, dim), what);
        }
      }
    }
  }
}

TEST(JoiningOps, RequantizeToTheFirstTensor) {
  const auto first = make_per_tensor_quantized(torch::tensor({1, 2}, torch::kByte), 0.5, 0);
  const auto second = make_per_tensor_quantized(torch::tensor({1, 255}, torch::kByte), 1.0, 0);
  const auto joined = torch::cat({first, second});
  EXPECT_EQ(quantizer(joined), quantizer(first));
  EXPECT_TRUE(octet::int_repr(joined).equal(torch::tensor({1, 2, 2, 255}, torch::kByte)));  // 255 of the second clamps
  EXPECT_TRUE(octet::int_repr(torch::hstack({first, second})).equal(octet::int_repr(joined)));
}

TEST(JoiningOps, RefuseWhatIsQuantizedInAnotherWay) {
  const auto q = quantize_per_tensor(torch::randn({2}), 0.1, 0, quint8);
  expect_error([&] { torch::cat({q, torch::ones(2)}); }, "aten::cat: tensor 1 of the list is a plain Float tensor");
  expect_error([&] { torch::cat({torch::ones(2), q}); }, "aten::cat: tensor 0 of the list is a plain Float tensor");
  expect_error([&] { torch::stack({q, quantize_per_tensor(torch::randn({2}), 0.1, 0, qint8)}); },
               "aten::stack: tensor 1 of the list is qint8 with the scheme per_tensor_affine, the first is quint8");
}

TEST(JoiningOps, CopyBetweenQuantizedTensorsByTheirValues) {
  const auto values = torch::tensor({{-1.0F, 0.0F}, {1.5F, 2.0F}});
  auto target = quantize_per_tensor(torch::zeros({2, 2}), 0.25, 100, quint8);
  const auto view = target.select(0, 1);
  EXPECT_TRUE(target.copy_(quantize_per_tensor(values, 0.5, -10, qint8)).is_same(target));
  EXPECT_TRUE(octet::dequantize(target).equal(values));
  EXPECT_TRUE(octet::dequantize(view).equal(values.select(0, 1)));
  EXPECT_EQ(octet::q_scale(target), 0.25);
  target.select(0, 0).copy_(target.select(0, 1));
  EXPECT_TRUE(octet::dequantize(target).select(0, 0).equal(values.select(0, 1)));
  target.copy_(torch::tensor({0.75, 0.25}, torch::kDouble));  // plain numbers are quantized, and broadcast
  EXPECT_TRUE(octet::dequantize(target).equal(torch::tensor({{0.75F, 0.25F}, {0.75F, 0.25F}})));
}

TEST(JoiningOps, CopyIntoPerChannelAndPackedTensors) {
  const auto values = torch::tensor({{1.0F, 2.0F, 3.0F}, {4.0F, 5.0F, 6.0F}});
  auto per_channel = quantize_per_channel(torch::zeros({2, 3}), torch::tensor({1.0, 0.5}), torch::tensor({0, 3}), 0, quint8);
  per_channel.copy_(values);
  EXPECT_TRUE(octet::dequantize(per_channel).equal(values));
  auto packed = quantize_per_tensor(torch::zeros({2, 3}), 1, 0, quint4x2);
  packed.copy_(quantize_per_tensor(values, 1, 0, quint8));
  EXPECT_TRUE(octet::dequantize(packed).equal(values));
  expect_error([&] { packed.copy_(torch::ones(3)); }, "aten::copy_: packed tensors have no broadcasting");
}

TEST(JoiningOps, PutValuesIntoQuantizedTensors) {
  const auto fresh = [] { return quantize_per_tensor(torch::arange(6).view({2, 3}).to(torch::kFloat), 0.25, 10, quint8); };
  const auto places = torch::tensor({1, 0});
  const auto columns = torch::tensor({2, 1});
  const auto values = torch::tensor({9.5F, -1.0F});
  const auto expected = torch::tensor({{0.0F, -1.0F, 2.0F}, {3.0F, 4.0F, 9.5F}});
  for (const auto& source :
       {values, quantize_per_tensor(values, 0.5, 3, quint8), quantize_per_tensor(values, 0.25, 10, quint8)}) {
    auto q = fresh();
    const auto view = q.select(0, 1);
    EXPECT_TRUE(octet::dequantize(q.index_put({places, columns}, source)).equal(expected));
    EXPECT_TRUE(q.equal(fresh()));
    EXPECT_TRUE(q.index_put_({places, columns}, source).is_same(q));
    EXPECT_TRUE(octet::dequantize(q).equal(expected));
    EXPECT_TRUE(octet::dequantize(view).equal(expected.select(0, 1)));
  }
  auto q = fresh();
  q.index_put_({q.gt(3.5)}, 1.5);
  EXPECT_TRUE(octet::dequantize(q).equal(torch::tensor({{0.0F, 1.0F, 2.0F}, {3.0F, 1.5F, 1.5F}})));
  q.index_put_({0}, torch::tensor({7.0F, 8.0F, 9.0F}));
  EXPECT_TRUE(octet::dequantize(q).select(0, 0).equal(torch::tensor({7.0F, 8.0F, 9.0F})));
  expect_error([&] { q.index_put_({places}, values, true); }, "values are put into a quantized tensor, not added to it");
  expect_error([&] { torch::ones(6).index_put_({places}, fresh().flatten().slice(0, 0, 2)); },
               "aten::index_put_: a plain Float tensor can't take a quantized one");
}

TEST(JoiningOps, KeepChannelsLast) {
  const auto values = torch::randn({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  const auto a = quantize_per_tensor(values, 0.1, 9, quint8);
  const auto b = quantize_per_tensor(values, 0.2, 3, quint8);
  EXPECT_TRUE(torch::cat({a, a}, 1).is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(torch::cat({a, b}, 1).is_contiguous(at::MemoryFormat::ChannelsLast));
}

}  // namespace
}  // namespace octet
