#include "test_support.h"

namespace octet {
namespace {

using test::expect_error;

TEST(CreationOps, HaveTheQuantizerOfTheirModel) {
  for (const DType dtype : {quint8, qint8, qint32}) {
    const auto q = quantize_per_tensor(torch::randn({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast), 0.25, 9, dtype);
    const auto expect_filled = [&](const at::Tensor& made, at::IntArrayRef sizes, double value) {
      ASSERT_TRUE(is_quantized(made));
      EXPECT_EQ(quantizer(made), quantizer(q));
      EXPECT_TRUE(octet::dequantize(made).equal(torch::full(sizes, value))) << dtype << " " << value;
    };
    expect_filled(torch::zeros_like(q), q.sizes(), 0);
    expect_filled(torch::ones_like(q), q.sizes(), 1);
    expect_filled(torch::full_like(q, -1.5), q.sizes(), -1.5);
    expect_filled(q.new_zeros({3, 2}), {3, 2}, 0);
    expect_filled(q.new_ones({3, 2}), {3, 2}, 1);
    expect_filled(q.new_full({4}, 2.25), {4}, 2.25);
    EXPECT_EQ(quantizer(torch::empty_like(q)), quantizer(q));
    EXPECT_EQ(torch::empty_like(q).strides(), q.strides());
    EXPECT_TRUE(torch::zeros_like(q, {}, at::MemoryFormat::Contiguous).is_contiguous());
    EXPECT_EQ(q.new_empty({7, 0}).sizes(), at::IntArrayRef({7, 0}));
  }
}

TEST(CreationOps, RefuseWhatTheQuantizerCantHold) {
  const auto q = quantize_per_tensor(torch::randn({2}), 0.1, 0, quint8);
  expect_error([&] { torch::full_like(q, -1); },
               "aten::full_like: the value -1 is beyond what the scale 0.1 and zero point 0 of quint8 can hold");
  expect_error([&] { torch::zeros_like(q, torch::kLong); },
               "aten::zeros_like: its result would be quantized, as its model is, not Long");
  expect_error([&] { torch::rand_like(q); }, "aten::rand_like: there is no arithmetic for quantized tensors");
}

}  // namespace
}  // namespace octet
