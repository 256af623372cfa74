#include <octet/tensor/error.h>
#include <octet/tensor/qparams.h>

#include <gtest/gtest.h>
#include <support/oracle.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

#include "test_support.h"

namespace octet {
namespace {

using test::expect_error;

TEST(ChooseQParams, AreThoseOfTorchAoForTheWholeGrid) {
  const auto oracle = test::load_oracle("tensor/qparams").at("observer").toGenericDict();
  const auto min = oracle.at("min").toTensor();
  const auto max = oracle.at("max").toTensor();
  const auto cases = oracle.at("cases").toListRef();
  ASSERT_GT(cases.size(), 800);
  for (const auto& item : cases) {
    const auto answer = item.toGenericDict();
    const QParamsOptions options{dtype_from_name(answer.at("dtype").toStringRef()),
                                 qscheme_from_name(answer.at("qscheme").toStringRef()),
                                 answer.at("quant_min").toInt(),
                                 answer.at("quant_max").toInt(),
                                 answer.at("eps").toDouble(),
                                 answer.at("customized").toBool()};
    const auto [scale, zero_point] = choose_qparams(min, max, options);
    EXPECT_TRUE(test::same_bits(scale, answer.at("scale").toTensor()))
        << options.dtype << " " << options.qscheme << " " << options.quant_min << " .. " << options.quant_max;
    EXPECT_TRUE(test::same_bits(zero_point, answer.at("zero_point").toTensor()))
        << options.dtype << " " << options.qscheme << " " << options.quant_min << " .. " << options.quant_max;
  }
}

TEST(ChooseQParams, GiveOneElementForAScalarRange) {
  const auto [scale, zero_point] = choose_qparams(torch::tensor(-1.0F), torch::tensor(1.55F), {});
  EXPECT_EQ(scale.sizes(), at::IntArrayRef({1}));
  EXPECT_EQ(zero_point.sizes(), at::IntArrayRef({1}));
  EXPECT_EQ(scale.item<float>(), 2.55F / 255);
  EXPECT_EQ(zero_point.item<int64_t>(), 100);
}

TEST(ChooseQParams, AreOneAndZeroForARangeThatHasSeenNothing) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& [min, max] :
       {std::pair{torch::empty({0}), torch::empty({0})}, std::pair{torch::tensor(infinity), torch::tensor(-infinity)}}) {
    const auto [scale, zero_point] = choose_qparams(min, max, {});
    EXPECT_TRUE(scale.equal(torch::ones({1})));
    EXPECT_TRUE(zero_point.equal(torch::zeros({1}, torch::kLong)));
  }
}

TEST(ChooseQParams, RefuseWhatIsNoFiniteRange) {
  const auto choose = [](float min, float max) {
    return choose_qparams(torch::tensor({0.0F, min}), torch::tensor({0.0F, max}), {});
  };
  const float infinity = std::numeric_limits<float>::infinity();
  expect_error([&] { choose(2, 1); }, "the range [2, 1] at index 1 is not a finite range");
  expect_error([&] { choose(std::nanf(""), 1); }, "look for NaN or infinity");
  expect_error([&] { choose(0, infinity); }, "the range [0, inf] at index 1");
  expect_error([&] { choose_qparams(torch::zeros(2), torch::zeros(3), {}); }, "sizes [2] and [3]");
  expect_error([&] { choose_qparams(torch::zeros(1, torch::kDouble), torch::zeros(1), {}); }, "Double and Float, expected Float");
  expect_error([&] { choose_qparams(torch::zeros(1), torch::zeros(1), {.quant_min = 3, .quant_max = 3}); },
               "quant_min 3 is not below quant_max 3");
}

TEST(ChooseDynamicQParams, AreThoseOfATen) {
  const auto rows = test::load_oracle("tensor/qparams").at("dynamic").toTensor();
  ASSERT_GT(rows.size(0), 500);
  for (const auto& row : rows.unbind()) {
    const auto* r = row.const_data_ptr<double>();
    const bool reduce_range = r[2] != 0;
    const auto unsigned_qparams =
        choose_dynamic_qparams(static_cast<float>(r[0]), static_cast<float>(r[1]), 0, 255, reduce_range);
    EXPECT_EQ(unsigned_qparams.scale, r[3]) << row;
    EXPECT_EQ(unsigned_qparams.zero_point, static_cast<int64_t>(r[4])) << row;
    const auto signed_qparams =
        choose_dynamic_qparams(static_cast<float>(r[0]), static_cast<float>(r[1]), -128, 127, reduce_range);
    EXPECT_EQ(signed_qparams.scale, r[5]) << row;
    EXPECT_EQ(signed_qparams.zero_point, static_cast<int64_t>(r[6])) << row;
  }
}

TEST(ChooseDynamicQParams, PutTheZeroPointInTheMiddleToPreserveSparsity) {
  const auto [scale, zero_point] = choose_dynamic_qparams(-3, 1, -128, 127, false, true);
  EXPECT_EQ(zero_point, 0);  // -0.5, half to even
  EXPECT_NEAR(scale, 3.0 / 128, 1e-9);
  EXPECT_EQ(choose_dynamic_qparams(0, 1, 0, 255, false, true).zero_point, 0);
}

TEST(ChooseDynamicQParams, RefuseWhatIsNoFiniteRange) {
  const float infinity = std::numeric_limits<float>::infinity();
  expect_error([&] { choose_dynamic_qparams(-infinity, 1, 0, 255); }, "look for NaN or infinity in the tensor");
  expect_error([&] { choose_dynamic_qparams(1, 0, 0, 255); }, "the range [1, 0] is not a finite range");
  expect_error([&] { choose_dynamic_qparams(0, 1, 0, 1, true); }, "quant_min 0 is not below quant_max 0");
}

}  // namespace
}  // namespace octet
