#include <octet/kernels/pool.h>

#include "test_support.h"

namespace octet {
namespace {

namespace F = torch::nn::functional;
using test::Case;
using test::expect_error;

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

TEST(PoolingOps, GiveAtensIntegers) {
  const std::vector<Case> cases{
      {"avg_pool2d", {2, 3, 8, 9}, [](const auto& x) { return torch::avg_pool2d(x, 2); }},
      {"avg_pool2d 3", {2, 3, 8, 9}, [](const auto& x) { return torch::avg_pool2d(x, 3, 1); }},
      {"avg_pool2d padded", {2, 3, 8, 9}, [](const auto& x) { return torch::avg_pool2d(x, {3, 2}, {2, 1}, {1, 1}, true); }},
      {"avg_pool2d exclude", {2, 3, 8, 9}, [](const auto& x) { return torch::avg_pool2d(x, 3, 2, 1, true, false); }},
      {"avg_pool2d divisor", {2, 3, 8, 9}, [](const auto& x) { return torch::avg_pool2d(x, 3, 2, 0, false, true, 7); }},
      {"avg_pool3d", {2, 3, 4, 5, 6}, [](const auto& x) { return torch::avg_pool3d(x, 2); }},
      {"adaptive_avg_pool2d", {2, 3, 7, 9}, [](const auto& x) { return torch::adaptive_avg_pool2d(x, {3, 4}); }},
      {"adaptive_avg_pool2d 1", {2, 3, 7, 9}, [](const auto& x) { return torch::adaptive_avg_pool2d(x, {1, 1}); }},
      {"adaptive_avg_pool3d", {2, 3, 4, 5, 6}, [](const auto& x) { return torch::adaptive_avg_pool3d(x, {3, 2, 4}); }},
      {"one image", {3, 7, 9}, [](const auto& x) { return torch::adaptive_avg_pool2d(x, {3, 4}); }},
      {"max_pool2d", {2, 3, 8, 9}, [](const auto& x) { return torch::max_pool2d(x, {2, 2}, {2, 2}, {0, 0}, {1, 1}); }},
      {"max_pool2d padded",
       {2, 5, 8, 9},
       [](const auto& x) { return torch::max_pool2d(x, {3, 2}, {2, 1}, {1, 0}, {1, 2}, true); }},
  };
  test::expect_atens_results(cases, {quint8, qint8});
}

// What ATen's quantized tensors don't have is what floats do: for averages but for the rounding.
TEST(PoolingOps, PoolAsFloatsDo) {
  const std::vector<Case> largest{
      {"max_pool2d", {2, 3, 8, 9}, [](const auto& x) { return torch::max_pool2d(x, 3, 2, 1); }},
      {"max_pool1d", {2, 3, 9}, [](const auto& x) { return torch::max_pool1d(x, 3, 2, 1, 1, true); }},
      {"max_pool3d", {2, 3, 4, 5, 6}, [](const auto& x) { return torch::max_pool3d(x, 2); }},
      {"adaptive_max_pool1d",
       {2, 3, 9},
       [](const auto& x) { return F::adaptive_max_pool1d(x, F::AdaptiveMaxPool1dFuncOptions(4)); }},
      {"adaptive_max_pool2d", {2, 3, 7, 9}, [](const auto& x) { return std::get<0>(torch::adaptive_max_pool2d(x, {3, 4})); }},
      {"adaptive_max_pool3d",
       {2, 3, 4, 5, 6},
       [](const auto& x) { return std::get<0>(torch::adaptive_max_pool3d(x, {3, 2, 2})); }},
      {"one image", {3, 8, 9}, [](const auto& x) { return torch::max_pool2d(x, {3, 2}, {1, 2}, 1, {2, 1}); }},
      {"one volume", {3, 4, 5, 6}, [](const auto& x) { return torch::max_pool3d(x, 3, 2, 1, {1, 1, 2}, true); }},
      {"one line", {3, 9}, [](const auto& x) { return torch::max_pool1d(x, 3, 2, 1, 1, true); }},
      {"in three ways",
       {2, 20, 4, 5},
       [](const auto& x) {
         const auto padded = torch::max_pool2d(x, 5, 1, 2);
         return torch::cat({padded, torch::max_pool2d(padded, 5, 1, 2)}, 1);
       }},
  };
  const std::vector<Case> averages{
      {"avg_pool1d", {2, 3, 9}, [](const auto& x) { return torch::avg_pool1d(x, 3, 2, 1); }},
      {"adaptive_avg_pool1d", {2, 3, 9}, [](const auto& x) { return torch::adaptive_avg_pool1d(x, 4); }},
      {"avg_pool2d", {2, 20, 7, 9}, [](const auto& x) { return torch::avg_pool2d(x, 3, 2, 1, true, false); }},
      {"avg_pool3d", {2, 3, 4, 5, 6}, [](const auto& x) { return torch::avg_pool3d(x, 3, 2, 1, true, false); }},
      {"divisor", {2, 3, 4, 5, 6}, [](const auto& x) { return torch::avg_pool3d(x, 2, 1, 1, false, true, 11); }},
      {"negative divisor", {2, 3, 5, 6}, [](const auto& x) { return torch::avg_pool2d(x, 2, 1, 0, false, true, -9); }},
      {"adaptive", {2, 3, 7, 9}, [](const auto& x) { return torch::adaptive_avg_pool2d(x, {5, 1}); }},
      {"global", {2, 3, 7, 9}, [](const auto& x) { return torch::adaptive_avg_pool2d(x, {1, 1}); }},
      {"all at once", {2, 20, 7, 9}, [](const auto& x) { return torch::avg_pool2d(x, {7, 9}); }},
      {"adaptive 3d", {3, 4, 5, 6}, [](const auto& x) { return torch::adaptive_avg_pool3d(x, {2, 5, 3}); }},
  };
  torch::manual_seed(13);
  for (const bool is_average : {false, true}) {
    for (const Case& one : is_average ? averages : largest) {
      for (const auto& values : test::in_all_layouts(one.sizes)) {
        for (const DType dtype : {quint8, qint8, qint32}) {
          // ATen's float kernel, which computes qint32, takes no volume that lies like a batch of images.
          if (dtype == qint32 && one.name == "one volume" && values.is_contiguous(kChannelsLast)) continue;
          const double scale = 0.25;
          const auto q = quantize_per_tensor(values, scale, 60, dtype);
          const auto ours = one.op(q);
          const auto expected = one.op(octet::dequantize(q).contiguous());
          const auto what = c10::str(one.name, " of ", dtype, " strides ", values.strides());
          ASSERT_TRUE(is_quantized(ours)) << what;
          EXPECT_EQ(quantizer(ours), quantizer(q)) << what;
          ASSERT_EQ(ours.sizes(), expected.sizes()) << what;
          const bool is_one_volume = one.name == "one volume" || one.name == "adaptive 3d";
          if (values.is_contiguous(kChannelsLast) && !is_one_volume) {
            EXPECT_TRUE(ours.is_contiguous(kChannelsLast)) << what;
          }
          const auto error = (octet::dequantize(ours) - expected).abs().max().item<double>();
          EXPECT_LE(error, is_average ? scale * 0.5001 : 0) << what;
        }
      }
    }
  }
}

TEST(PoolingOps, GiveThePlacesOfFloats) {
  torch::manual_seed(12);
  const auto q = quantize_per_tensor(torch::randperm(60).view({1, 3, 4, 5}).to(torch::kFloat), 1, 20, qint8);
  EXPECT_TRUE(std::get<1>(torch::max_pool2d_with_indices(q, 2))
                  .equal(std::get<1>(torch::max_pool2d_with_indices(octet::dequantize(q), 2))));
}

TEST(PoolingOps, RoundHalvesToTheEvenInteger) {
  const auto integers = torch::tensor({{1, 2}, {2, 3}, {254, 255}, {0, 1}}, torch::kByte);
  const auto expected = torch::tensor({2, 2, 254, 0}, torch::kByte);
  EXPECT_TRUE(octet::int_repr(torch::avg_pool1d(make_per_tensor_quantized(integers, 1, 7), 2)).flatten().equal(expected));
  const auto wide = make_per_tensor_quantized(integers.to(torch::kInt), 1, 7);
  EXPECT_TRUE(octet::int_repr(torch::avg_pool1d(wide, 2)).flatten().equal(expected.to(torch::kInt)));
}

TEST(PoolingOps, CountPaddingAsTheRealZero) {
  const auto q = make_per_tensor_quantized(torch::full({1, 1, 2, 2}, 110, torch::kByte), 1, 100);
  // One element and eight of padding: the real mean is 10 / 9, with padding left out 10.
  const auto pooled = torch::avg_pool2d(q, {3, 3}, {3, 3}, {1, 1}, true);
  EXPECT_EQ(octet::int_repr(pooled).flatten()[0].item<int>(), 100 + 4);  // 40 / 9
  const auto left_out = torch::avg_pool2d(q, {3, 3}, {3, 3}, {1, 1}, true, false);
  EXPECT_TRUE(octet::int_repr(left_out).eq(110).all().item<bool>());
}

TEST(PoolingOps, AverageExactlyBeyondTheSumsOfTheKernels) {
  const auto q = make_per_tensor_quantized(torch::full({1, 1, 3000, 3000}, 255, torch::kByte), 1, 0);
  ASSERT_GT(q.numel(), kernels::kMaxAverageSize);
  EXPECT_EQ(octet::int_repr(torch::avg_pool2d(q, 3000)).item<int>(), 255);
}

TEST(PoolingOps, TakeEmptyBatches) {
  const auto empty = quantize_per_tensor(torch::empty({0, 3, 8, 8}), 0.1, 0, qint8);
  EXPECT_EQ(torch::max_pool2d(empty, 2).sizes(), at::IntArrayRef({0, 3, 4, 4}));
  EXPECT_EQ(torch::avg_pool2d(empty, 2).sizes(), at::IntArrayRef({0, 3, 4, 4}));
  EXPECT_EQ(torch::adaptive_avg_pool2d(empty, {2, 2}).sizes(), at::IntArrayRef({0, 3, 2, 2}));
  EXPECT_EQ(torch::max_pool3d(empty.unsqueeze(2), {1, 2, 2}).sizes(), at::IntArrayRef({0, 3, 1, 4, 4}));
}

TEST(PoolingOps, CheckTheirArgumentsAsAtenDoes) {
  const auto image = quantize_per_tensor(torch::randn({1, 2, 4, 4}), 0.1, 0, qint8);
  EXPECT_THROW(torch::avg_pool2d(image, 100), c10::Error);
  EXPECT_THROW(torch::max_pool2d(image, 2, 1, 2), c10::Error);
  EXPECT_THROW(torch::max_pool3d(image.unsqueeze(2), {1, 2, 2}, 1, {0, 2, 2}), c10::Error);
  expect_error([&] { torch::_adaptive_avg_pool2d(image.flatten(1), {1, 1}); },
               "the tensor has sizes [1, 32], not those of one image or a batch");
}

}  // namespace
}  // namespace octet
