#include "test_support.h"

namespace octet {
namespace {

namespace F = torch::nn::functional;
using test::Case;
using test::expect_error;

TEST(AveragingOps, AverageAsAten) {
  // ATen adds up dequantized floats here, so that its ties are not always exact.
  const std::vector<Case> means{
      {"mean", {2, 3, 8, 9}, [](const auto& x) { return x.mean(); }},
      {"mean.dim", {2, 3, 8, 9}, [](const auto& x) { return x.mean({2, 3}, true); }},
  };
  test::expect_atens_results(means, {quint8, qint8}, 1);
}

TEST(AveragingOps, InterpolateAsAten) {
  const std::vector<Case> cases{
      {"bilinear", {2, 3, 5, 7}, [](const auto& x) { return torch::upsample_bilinear2d(x, {11, 13}, false); }},
      {"bilinear corners", {2, 3, 5, 7}, [](const auto& x) { return torch::upsample_bilinear2d(x, {11, 13}, true); }},
      {"bilinear down", {2, 3, 9, 7}, [](const auto& x) { return torch::upsample_bilinear2d(x, {4, 3}, false); }},
      {"bilinear factor",
       {2, 3, 5, 7},
       [](const auto& x) {
         const std::vector<double> factors{1.7, 2.0};
         return F::interpolate(x, F::InterpolateFuncOptions().scale_factor(factors).mode(torch::kBilinear).align_corners(false));
       }},
  };
  for (const Case& one : cases) {
    for (const auto& values : test::in_all_layouts(one.sizes)) {
      // With channels last, ATen's vectorized kernel multiplies the weights in another order, and ties fall elsewhere.
      const int64_t tolerance = values.is_contiguous(at::MemoryFormat::ChannelsLast) ? 1 : 0;
      for (const DType dtype : {quint8, qint8}) {
        for (const int64_t zero_point : {3, 64, 101}) {
          const test::Twins twins(values, 0.05, zero_point, dtype);
          const auto what = c10::str(one.name, " of ", dtype, " strides ", values.strides());
          test::expect_twins(one.op(twins.ours), one.op(twins.atens), what, tolerance);
        }
      }
    }
  }
}

// What ATen's quantized tensors don't have is what floats do, but for the rounding.
TEST(AveragingOps, AreWithinHalfAStepOfFloats) {
  const std::vector<Case> cases{
      {"mean.dim", {4, 5, 6}, [](const auto& x) { return x.mean({0, 2}); }},
      {"linear", {2, 3, 5}, [](const auto& x) { return torch::upsample_linear1d(x, {13}, false); }},
      {"linear corners", {2, 3, 5}, [](const auto& x) { return torch::upsample_linear1d(x, {13}, true); }},
      {"trilinear", {2, 3, 3, 4, 5}, [](const auto& x) { return torch::upsample_trilinear3d(x, {5, 7, 9}, false); }},
  };
  torch::manual_seed(13);
  for (const Case& one : cases) {
    for (const auto& values : test::in_all_layouts(one.sizes)) {
      for (const DType dtype : {quint8, qint8, qint32}) {
        const double scale = 0.05;
        const auto q = quantize_per_tensor(values, scale, 100, dtype);
        const auto ours = one.op(q);
        ASSERT_TRUE(is_quantized(ours)) << one.name;
        EXPECT_EQ(quantizer(ours), quantizer(q)) << one.name;
        const auto error = (octet::dequantize(ours) - one.op(octet::dequantize(q))).abs().max().item<double>();
        EXPECT_LE(error, scale / 2 * 1.001) << one.name << " " << dtype << " strides " << values.strides();
      }
    }
  }
}

TEST(AveragingOps, RoundHalvesToTheEvenInteger) {
  const auto q = make_per_tensor_quantized(torch::tensor({{1, 2}, {2, 3}, {254, 255}, {0, 1}}, torch::kByte), 1, 7);
  EXPECT_TRUE(octet::int_repr(q.mean(1)).equal(torch::tensor({2, 2, 254, 0}, torch::kByte)));
}

TEST(AveragingOps, MeansOfWholeImagesAreThoseOfTheIntegers) {
  torch::manual_seed(17);
  for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{2, 19, 4, 3}, {3, 1, 2, 2}, {1, 40, 7, 7}, {2, 6, 2, 3, 2}}) {
    std::vector<int64_t> last_first;
    for (int64_t d = static_cast<int64_t>(sizes.size()) - 1; d >= 2; --d)
      last_first.push_back(d % 2 == 0 ? d : d - static_cast<int64_t>(sizes.size()));
    for (const auto& values : test::in_all_layouts(sizes)) {
      for (const DType dtype : {quint8, qint8, qint32}) {
        const auto q = quantize_per_tensor(values, 0.02, 101, dtype);                                       // an odd zero point
        const at::Tensor means = octet::int_repr(q).to(torch::kDouble).mean(last_first, /*keepdim=*/true);  // ties are exact
        const at::Tensor expected = means.round().to(octet::int_repr(q).scalar_type());
        EXPECT_TRUE(octet::int_repr(q.mean(last_first, true)).equal(expected)) << dtype << " " << values.strides();
        EXPECT_TRUE(octet::int_repr(q.mean(last_first)).equal(expected.flatten(1))) << dtype << " " << values.strides();
      }
    }
  }
  const auto q = quantize_per_tensor(torch::randn({1, 2, 3, 4}), 0.1, 0, quint8);
  EXPECT_THROW(q.mean({2, 2}), c10::Error);  // ATen's
  EXPECT_THROW(q.mean({2, 4}), c10::Error);
}

TEST(AveragingOps, SumExactlyWhereFloatsDoNot) {
  const auto q = make_per_tensor_quantized(torch::full({1 << 21}, 255, torch::kByte), 1, 0);
  EXPECT_EQ(octet::int_repr(q.mean()).item<int>(), 255);
  const auto large = make_per_tensor_quantized(torch::full({3}, (1 << 30) + 1, torch::kInt), 1, 0);
  EXPECT_EQ(octet::int_repr(large.mean()).item<int>(), (1 << 30) + 1);
}

TEST(AveragingOps, KeepChannelsLast) {
  const auto q = quantize_per_tensor(torch::randn({2, 3, 8, 8}).contiguous(at::MemoryFormat::ChannelsLast), 0.1, 0, qint8);
  EXPECT_TRUE(torch::upsample_bilinear2d(q, {9, 9}, false).is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(AveragingOps, RefuseWhatHasNoMean) {
  const auto q = quantize_per_tensor(torch::randn({2, 0}), 0.1, 0, quint8);
  expect_error([&] { q.mean(); }, "aten::mean: the mean of no elements is not a number");
  expect_error([&] { q.mean(torch::kDouble); }, "the mean of a quantized tensor is quantized, not Double");
}

}  // namespace
}  // namespace octet
