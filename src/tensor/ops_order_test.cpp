#include "test_support.h"

namespace octet {
namespace {

namespace F = torch::nn::functional;
using test::Case;
using test::expect_error;

const std::vector<DType> kBytes{quint8, qint8};
const std::vector<DType> kAll{quint8, qint8, qint32};

TEST(OrderOps, GiveAtensIntegers) {
  const std::vector<Case> cases{
      {"relu", {2, 3, 4, 5}, [](const auto& x) { return torch::relu(x); }},
      {"relu6", {2, 3, 4, 5}, [](const auto& x) { return torch::relu6(x); }},
      {"hardtanh", {2, 3, 4, 5}, [](const auto& x) { return torch::hardtanh(x, -0.37, 0.61); }},
      {"clamp", {3, 7}, [](const auto& x) { return x.clamp(-0.52, 0.33); }},
      {"sort", {3, 7}, [](const auto& x) { return std::get<0>(x.sort(1)); }},
      {"topk", {3, 9}, [](const auto& x) { return std::get<0>(x.topk(4, 1)); }},
      {"max", {3, 9}, [](const auto& x) { return x.max(); }},
      {"min", {3, 9}, [](const auto& x) { return x.min(); }},
      {"max.dim", {3, 9}, [](const auto& x) { return std::get<0>(x.max(1)); }},
      {"min.dim", {3, 9}, [](const auto& x) { return std::get<0>(x.min(0, true)); }},
  };
  test::expect_atens_results(cases, kAll);
}

TEST(OrderOps, UpsampleAsAten) {
  const std::vector<Case> cases{
      {"upsample_nearest2d", {2, 3, 5, 7}, [](const auto& x) { return torch::upsample_nearest2d(x, {11, 13}); }},
      {"interpolate",
       {2, 3, 5, 7},
       [](const auto& x) { return F::interpolate(x, F::InterpolateFuncOptions().scale_factor(std::vector<double>{2.0, 1.7})); }},
      {"upsample_nearest3d", {2, 3, 3, 4, 5}, [](const auto& x) { return torch::upsample_nearest3d(x, {5, 6, 7}); }},
      {"nearest exact", {2, 3, 5, 7}, [](const auto& x) { return torch::_upsample_nearest_exact2d(x, {11, 13}); }},
  };
  test::expect_atens_results(cases, kBytes);
}

// What ATen's quantized tensors don't have is what floats do.
TEST(OrderOps, CompareAsForFloats) {
  const std::vector<Case> cases{
      {"clamp_min", {3, 7}, [](const auto& x) { return x.clamp_min(-0.5); }},
      {"clamp_max", {3, 7}, [](const auto& x) { return x.clamp_max(0.5); }},
      {"amax", {3, 7}, [](const auto& x) { return x.amax(1); }},
      {"amin", {3, 7}, [](const auto& x) { return x.amin({0, 1}); }},
      {"aminmax", {3, 7}, [](const auto& x) { return std::get<1>(x.aminmax()); }},
      {"median", {3, 7}, [](const auto& x) { return x.median(); }},
      {"median.dim", {3, 7}, [](const auto& x) { return std::get<0>(x.median(1)); }},
      {"kthvalue", {3, 7}, [](const auto& x) { return std::get<0>(x.kthvalue(3, 1)); }},
      {"cummax", {3, 7}, [](const auto& x) { return std::get<0>(x.cummax(1)); }},
      {"maximum", {3, 7}, [](const auto& x) { return torch::maximum(x, x.flip({1})); }},
      {"minimum", {3, 7}, [](const auto& x) { return torch::minimum(x, x.flip({1})); }},
      {"upsample_nearest1d", {2, 3, 7}, [](const auto& x) { return torch::upsample_nearest1d(x, {11}); }},
      {"upsample_nearest2d", {2, 3, 5, 7}, [](const auto& x) { return torch::upsample_nearest2d(x, {11, 13}); }},
  };
  torch::manual_seed(11);
  for (const Case& one : cases) {
    for (const auto& values : test::in_all_layouts(one.sizes)) {
      for (const DType dtype : kAll) {
        const auto q = quantize_per_tensor(values, 0.25, 7, dtype);
        const auto ours = one.op(q);
        ASSERT_TRUE(is_quantized(ours)) << one.name;
        EXPECT_EQ(quantizer(ours), quantizer(q)) << one.name;
        EXPECT_TRUE(octet::dequantize(ours).equal(one.op(octet::dequantize(q)))) << one.name << " " << dtype;
      }
    }
  }
}

TEST(OrderOps, GiveThePlacesOfFloats) {
  torch::manual_seed(12);
  const auto q = quantize_per_tensor(torch::randperm(60).view({3, 20}).to(torch::kFloat), 1, 20, qint8);
  const auto values = octet::dequantize(q);
  EXPECT_TRUE(q.argmax().equal(values.argmax()));
  EXPECT_TRUE(q.argmin(1).equal(values.argmin(1)));
  EXPECT_TRUE(std::get<1>(q.sort(1)).equal(std::get<1>(values.sort(1))));
  EXPECT_TRUE(q.argsort(int64_t{1}, false).equal(values.argsort(int64_t{1}, false)));
  EXPECT_TRUE(std::get<1>(q.topk(5)).equal(std::get<1>(values.topk(5))));
  EXPECT_TRUE(std::get<1>(q.max(1)).equal(std::get<1>(values.max(1))));
}

TEST(OrderOps, ActOnTheIntegersInPlace) {
  const auto values = torch::tensor({-2.0F, -0.5F, 0.0F, 0.5F, 9.0F});
  for (const DType dtype : kAll) {
    const auto fresh = [&] { return quantize_per_tensor(values, 0.125, 16, dtype); };
    auto relu = fresh();
    EXPECT_TRUE(torch::relu_(relu).is_same(relu));
    EXPECT_TRUE(octet::dequantize(relu).equal(values.relu()));
    auto relu6 = fresh();
    torch::relu6_(relu6);
    EXPECT_TRUE(octet::dequantize(relu6).equal(torch::relu6(values)));
    auto hardtanh = fresh();
    torch::hardtanh_(hardtanh, -1, 1);
    EXPECT_TRUE(octet::dequantize(hardtanh).equal(values.clamp(-1, 1)));
    auto clamp = fresh();
    clamp.clamp_(-0.25, 1).clamp_max_(0.5);
    EXPECT_TRUE(octet::dequantize(clamp).equal(values.clamp(-0.25, 0.5)));
  }
}

TEST(OrderOps, RefuseToCompareDifferentScales) {
  const auto q = quantize_per_tensor(torch::randn({4}), 0.1, 0, quint8);
  expect_error([&] { torch::maximum(q, quantize_per_tensor(torch::randn({4}), 0.1, 1, quint8)); },
               "aten::maximum: argument other has another scale, zero point or dtype");
  expect_error([&] { torch::maximum(q, torch::ones({4}, torch::kLong)); }, "argument other is a plain Long tensor");
}

}  // namespace
}  // namespace octet
