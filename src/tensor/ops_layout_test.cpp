#include <octet/tensor/quantized_tensor.h>

#include "test_support.h"

namespace octet {
namespace {

namespace F = torch::nn::functional;
using test::Case;
using test::expect_error;

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"view", {2, 3, 4, 5}, [](const auto& x) { return x.contiguous().view({6, 20}); }},
      {"reshape", {2, 3, 4, 5}, [](const auto& x) { return x.reshape({4, -1}); }},
      {"flatten", {2, 3, 4, 5}, [](const auto& x) { return x.flatten(1); }},
      {"unflatten", {2, 6, 5}, [](const auto& x) { return x.unflatten(1, {2, 3}); }},
      {"permute", {2, 3, 4, 5}, [](const auto& x) { return x.permute({3, 0, 2, 1}); }},
      {"transpose", {2, 3, 4}, [](const auto& x) { return x.transpose(0, 2); }},
      {"t", {3, 4}, [](const auto& x) { return x.t(); }},
      {"squeeze", {2, 1, 4, 1}, [](const auto& x) { return x.squeeze(); }},
      {"squeeze.dim", {2, 1, 4, 1}, [](const auto& x) { return x.squeeze(1); }},
      {"unsqueeze", {2, 3}, [](const auto& x) { return x.unsqueeze(1); }},
      {"expand", {2, 1, 3}, [](const auto& x) { return x.expand({2, 4, 3}); }},
      {"slice", {2, 3, 8, 5}, [](const auto& x) { return x.slice(2, 1, 7, 2); }},
      {"narrow", {2, 6, 5}, [](const auto& x) { return x.narrow(1, 2, 3); }},
      {"select", {2, 3, 4, 5}, [](const auto& x) { return x.select(1, 2); }},
      {"index", {6, 5}, [](const auto& x) { return x[2]; }},
      {"as_strided", {6, 5}, [](const auto& x) { return x.contiguous().as_strided({3, 2}, {5, 2}, 4); }},
      {"chunk", {6, 5}, [](const auto& x) { return x.chunk(3, 0)[1]; }},
      {"split", {7, 5}, [](const auto& x) { return x.split(3, 0)[2]; }},
      {"split_with_sizes", {7, 5}, [](const auto& x) { return x.split_with_sizes({1, 4, 2}, 0)[1]; }},
      {"unbind", {2, 3, 4}, [](const auto& x) { return x.unbind(1)[2]; }},
      {"repeat", {2, 3}, [](const auto& x) { return x.repeat({2, 1, 3}); }},
      {"flip", {2, 3, 4}, [](const auto& x) { return x.flip({0, 2}); }},
      {"index_select", {4, 5}, [](const auto& x) { return x.index_select(1, torch::tensor({3, 0, 0})); }},
      {"pixel_shuffle", {2, 8, 3, 4}, [](const auto& x) { return torch::pixel_shuffle(x, 2); }},
      {"reflection_pad2d", {2, 3, 4, 5}, [](const auto& x) { return torch::reflection_pad2d(x, {1, 2, 0, 3}); }},
      {"reflection_pad1d", {2, 3, 5}, [](const auto& x) { return torch::reflection_pad1d(x, {1, 2}); }},
      {"constant_pad", {2, 3, 4}, [](const auto& x) { return torch::constant_pad_nd(x, {1, 2, 0, 1}, 0.7); }},
      {"zero_pad", {2, 3, 4, 5}, [](const auto& x) { return F::pad(x, F::PadFuncOptions({1, 1, 1, 1})); }},
      {"masked_fill", {4, 5}, [](const auto& x) { return x.masked_fill(torch::arange(20).view({4, 5}) % 3 == 0, 0.33); }},
      {"contiguous", {2, 3, 4, 5}, [](const auto& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }},
      {"clone", {2, 3, 4, 5}, [](const auto& x) { return x.clone(); }},
      {"empty", {2, 0, 5}, [](const auto& x) { return x.transpose(0, 2).flatten(1); }},
      {"scalar", {}, [](const auto& x) { return x.unsqueeze(0).expand({4}); }},
  };
  return all;
}

TEST(LayoutOps, GiveAtensIntegers) { test::expect_atens_results(cases(), {quint8, qint8, qint32}); }

// What ATen's quantized tensors don't have is what floats do.
TEST(LayoutOps, MoveElementsAsForFloats) {
  const std::vector<Case> more{
      {"masked_select", {4, 5}, [](const auto& x) { return x.masked_select(torch::arange(20).view({4, 5}) % 3 == 0); }},
      {"channel_shuffle", {2, 6, 3, 4}, [](const auto& x) { return torch::channel_shuffle(x, 3); }},
      {"roll", {4, 5}, [](const auto& x) { return x.roll(2, 1); }},
      {"rot90", {4, 5}, [](const auto& x) { return x.rot90(); }},
      {"diagonal", {4, 5}, [](const auto& x) { return x.diagonal(); }},
      {"unfold", {4, 9}, [](const auto& x) { return x.unfold(1, 3, 2); }},
      {"gather", {4, 5}, [](const auto& x) { return x.gather(1, torch::tensor({{0, 4}, {1, 1}})); }},
      {"take", {4, 5}, [](const auto& x) { return x.take(torch::tensor({3, 19, 0})); }},
      {"index.Tensor", {4, 5}, [](const auto& x) { return x.index({torch::tensor({1, 3}), torch::tensor({0, 2})}); }},
      {"index mask", {4, 5}, [](const auto& x) { return x.index({torch::arange(4) > 1}); }},
      {"pixel_unshuffle", {2, 3, 4, 6}, [](const auto& x) { return torch::pixel_unshuffle(x, 2); }},
      {"replication_pad", {2, 3, 4, 5}, [](const auto& x) { return torch::replication_pad2d(x, {1, 2, 0, 3}); }},
      {"reflection_pad3d", {2, 3, 4, 5, 6}, [](const auto& x) { return torch::reflection_pad3d(x, {1, 2, 0, 3, 1, 1}); }},
      {"replication_pad1d", {2, 3, 5}, [](const auto& x) { return torch::replication_pad1d(x, {1, 2}); }},
      {"replication_pad3d", {2, 3, 4, 5, 6}, [](const auto& x) { return torch::replication_pad3d(x, {1, 2, 0, 3, 1, 1}); }},
      {"circular pad",
       {2, 3, 4, 5},
       [](const auto& x) { return F::pad(x, F::PadFuncOptions({1, 2, 0, 3}).mode(torch::kCircular)); }},
      {"cropping pad", {2, 3, 4, 5}, [](const auto& x) { return F::pad(x, F::PadFuncOptions({-1, 1, 0, -1}).value(0.5)); }},
      {"repeat_interleave", {4, 5}, [](const auto& x) { return x.repeat_interleave(2, 0); }},
      {"movedim", {2, 3, 4}, [](const auto& x) { return x.movedim(0, 2); }},
      {"tile", {2, 3}, [](const auto& x) { return x.tile({2, 2}); }},
      {"where", {4, 5}, [](const auto& x) { return torch::where(torch::arange(5) > 2, x, x.flip({0})); }},
  };
  torch::manual_seed(9);
  for (const auto& group : {cases(), more}) {
    for (const Case& one : group) {
      for (const auto& values : test::in_all_layouts(one.sizes)) {
        const auto q = quantize_per_tensor(values, 0.25, 3, qint8);
        const auto ours = one.op(q);
        const auto floats = one.op(octet::dequantize(q));
        ASSERT_TRUE(is_quantized(ours)) << one.name;
        if (one.name == "constant_pad" || one.name == "masked_fill") continue;  // the fill value is no multiple of the scale
        EXPECT_TRUE(octet::dequantize(ours).equal(floats)) << one.name << " strides " << values.strides();
        EXPECT_EQ(ours.strides(), octet::int_repr(ours).strides()) << one.name;
      }
    }
  }
}

TEST(LayoutOps, ViewsShareMemory) {
  const auto q = quantize_per_tensor(torch::randn({2, 3, 4}), 0.1, 50, quint8);
  const auto view = q.transpose(0, 2).select(1, 1).slice(0, 1, 3);
  EXPECT_TRUE(octet::int_repr(view).is_alias_of(octet::int_repr(q)));
  auto expected = octet::dequantize(q);
  expected.transpose(0, 2).select(1, 1).slice(0, 1, 3).relu_();
  torch::relu_(const_cast<at::Tensor&>(view));
  EXPECT_TRUE(octet::dequantize(q).equal(expected));
  q.select(0, 0).fill_(-1.0);
  expected.select(0, 0).fill_(-1.0);
  EXPECT_TRUE(octet::dequantize(q).allclose(expected));
  q.select(0, 1).zero_();
  EXPECT_TRUE(octet::int_repr(q).select(0, 1).eq(50).all().item<bool>());
}

TEST(LayoutOps, ChangeTheirTensorInPlace) {
  const auto values = torch::randn({2, 1, 3});
  auto q = quantize_per_tensor(values, 0.1, 0, qint8);
  const auto expected = octet::dequantize(q);
  auto detached = q.detach();
  auto integers = octet::int_repr(q);
  q.transpose_(0, 2);
  EXPECT_EQ(q.sizes(), at::IntArrayRef({3, 1, 2}));
  EXPECT_TRUE(octet::dequantize(q).equal(expected.transpose(0, 2)));
  q.squeeze_(1).t_().unsqueeze_(0);
  EXPECT_TRUE(octet::dequantize(q).equal(expected.squeeze(1).unsqueeze(0)));
  EXPECT_EQ(integers.sizes(), at::IntArrayRef({2, 1, 3}));
  EXPECT_TRUE(octet::dequantize(detached).equal(expected));
  EXPECT_TRUE(octet::int_repr(q).is_alias_of(integers));
}

TEST(LayoutOps, FillWithTheNearestInteger) {
  const auto q = quantize_per_tensor(torch::randn({3, 4}), 0.1, 10, quint8);
  EXPECT_TRUE(octet::int_repr(at::fill(q, 0.26)).eq(13).all().item<bool>());
  EXPECT_TRUE(octet::int_repr(at::fill(q, 1000)).eq(255).all().item<bool>());
  EXPECT_TRUE(octet::int_repr(torch::constant_pad_nd(q, {1, 0}, 0)).select(1, 0).eq(10).all().item<bool>());
}

TEST(LayoutOps, KeepTheChannelsOfPerChannelTensors) {
  torch::manual_seed(10);
  const std::vector<Case> kept{
      {"permute", {2, 3, 4, 5}, [](const auto& x) { return x.permute({3, 1, 0, 2}); }},
      {"transpose", {2, 3, 4}, [](const auto& x) { return x.transpose(1, 2); }},
      {"view", {2, 3, 4, 5}, [](const auto& x) { return x.view({2, 3, 20}); }},
      {"flatten", {2, 3, 4, 5}, [](const auto& x) { return x.flatten(2); }},
      {"unsqueeze", {2, 3, 4}, [](const auto& x) { return x.unsqueeze(0); }},
      {"squeeze", {1, 3, 1}, [](const auto& x) { return x.squeeze(); }},
      {"slice", {2, 3, 4}, [](const auto& x) { return x.slice(1, 1, 3); }},
      {"slice to one", {2, 3, 4}, [](const auto& x) { return x.slice(1, 1, 2); }},
      {"slice of another", {2, 3, 4}, [](const auto& x) { return x.slice(2, 1, 3); }},
      {"select of another", {2, 3, 4}, [](const auto& x) { return x.select(0, 1); }},
      {"flip", {2, 3, 4}, [](const auto& x) { return x.flip({1}); }},
      {"index_select", {2, 3, 4}, [](const auto& x) { return x.index_select(1, torch::tensor({2, 0})); }},
      {"split", {2, 3, 4}, [](const auto& x) { return x.split(2, 1)[1]; }},
      {"unbind", {2, 3, 4}, [](const auto& x) { return x.unbind(0)[1]; }},
      {"expand", {1, 3, 4}, [](const auto& x) { return x.expand({5, 3, 4}); }},
      {"clone", {2, 3, 4, 5}, [](const auto& x) { return x.clone(at::MemoryFormat::ChannelsLast); }},
      {"one channel", {3, 1, 4}, [](const auto& x) { return x.transpose(0, 1); }},
  };
  for (const Case& one : kept) {
    for (const bool float_qparams : {false, true}) {
      const auto scales = torch::rand({one.sizes[1]}) + 0.05;
      const auto zero_points = torch::arange(one.sizes[1]).to(float_qparams ? torch::kFloat : torch::kLong) + 1;
      const auto q = quantize_per_channel(torch::randn(one.sizes), scales, zero_points, 1, quint8);
      const auto ours = one.op(q);
      ASSERT_TRUE(is_quantized(ours)) << one.name;
      EXPECT_EQ(octet::qscheme(ours), octet::qscheme(q)) << one.name;
      EXPECT_EQ(octet::q_per_channel_scales(ours).numel(), ours.size(octet::q_per_channel_axis(ours))) << one.name;
      EXPECT_TRUE(octet::dequantize(ours).equal(one.op(octet::dequantize(q)))) << one.name;
    }
  }
}

TEST(LayoutOps, MoveTheAxisInPlace) {
  auto q =
      quantize_per_channel(torch::randn({2, 3}), torch::tensor({0.1, 0.2}, torch::kDouble), torch::tensor({1, 2}), 0, quint8);
  const auto expected = octet::dequantize(q).t();
  q.t_();
  EXPECT_EQ(octet::q_per_channel_axis(q), 1);
  EXPECT_TRUE(octet::dequantize(q).equal(expected));
}

TEST(LayoutOps, MakeASingleChannelPerTensor) {
  const auto q =
      quantize_per_channel(torch::randn({2, 3}), torch::tensor({0.1, 0.2}, torch::kDouble), torch::tensor({1, 2}), 0, quint8);
  const auto row = q.select(0, 1);
  EXPECT_EQ(octet::qscheme(row), per_tensor_affine);
  EXPECT_EQ(octet::q_scale(row), 0.2);
  EXPECT_TRUE(octet::dequantize(row).equal(octet::dequantize(q).select(0, 1)));
}

TEST(LayoutOps, RefuseToMixChannels) {
  const auto q = quantize_per_channel(torch::randn({2, 3, 4}), torch::ones(3), torch::tensor({1, 2, 3}), 1, quint8);
  EXPECT_TRUE(octet::dequantize(q.view({6, 4})).equal(octet::dequantize(q).view({6, 4})));  // a channel to each row
  expect_error([&] { q.view({4, 6}); },
               "aten::view: it would spread the channels of a per-channel tensor over several dimensions");
}

TEST(LayoutOps, RefuseOperandsThatAreNotQuantizedAlike) {
  const auto q = quantize_per_tensor(torch::randn({4}), 0.1, 0, quint8);
  const auto other = quantize_per_tensor(torch::randn({4}), 0.2, 0, quint8);
  const auto mask = torch::arange(4) > 1;
  expect_error([&] { torch::where(mask, q, other); }, "aten::where: argument other has another scale, zero point or dtype");
  expect_error([&] { torch::where(mask, q, torch::ones(4)); }, "aten::where: argument other is a plain Float tensor");
  expect_error([&] { q.masked_select(q); }, "aten::masked_select: argument mask is quantized");
  expect_error([&] { torch::ones(4).masked_select(q); }, "aten::masked_select: argument self is a plain Float tensor");
}

}  // namespace
}  // namespace octet
