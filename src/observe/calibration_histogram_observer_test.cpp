#include <octet/observe/entropy_observer.h>
#include <octet/observe/histogram_observer.h>
#include <octet/observe/min_max_observer.h>
#include <octet/observe/mse_observer.h>
#include <octet/observe/percentile_observer.h>

#include <observe/observer_test_support.h>

namespace octet {
namespace {

using test::Dict;
using test::error_of;
using test::identical;

std::shared_ptr<CalibrationHistogramObserver> observer_for(const Dict& answer) {
  const Dict options = answer.at("options").toGenericDict();
  const std::string name = test::string_at(answer, "observer");
  if (name == "EntropyObserver") {
    return std::make_shared<EntropyObserver>(test::options_from<EntropyObserverOptions>(options));
  }
  if (name == "PercentileObserver") {
    return std::make_shared<PercentileObserver>(test::options_from<PercentileObserverOptions>(options).percentile(99));
  }
  return std::make_shared<MSEObserver>(test::options_from<MSEObserverOptions>(options).candidates(50));
}

TEST(CalibrationObservers, AgreeWithPlainPythonOverAllValuesAtOnce) {
  const auto oracle = test::load_oracle("observe/calibration_histogram_observer");
  const Dict streams = oracle.at("streams").toGenericDict();
  const auto cases = oracle.at("cases").toList();
  ASSERT_GT(cases.size(), 50);
  for (size_t i = 0; i < cases.size(); ++i) {
    const Dict answer = cases.get(i).toGenericDict();
    const auto observer = observer_for(answer);
    SCOPED_TRACE(observer->describe() + " on " + test::string_at(answer, "stream"));
    for (const auto& batch : test::tensors_of(streams.at(answer.at("stream")))) {
      EXPECT_TRUE(observer->forward(batch).is_same(batch));
    }
    EXPECT_EQ(observer->bin_width(), answer.at("bin_width").toDouble());
    EXPECT_TRUE(identical(observer->histogram(), answer.at("histogram").toTensor()));
    EXPECT_TRUE(identical(observer->calculate_qparams(), answer));
  }
}

std::vector<ObserverFactory> all_factories() {
  return {EntropyObserver::with_args(), PercentileObserver::with_args(), MSEObserver::with_args()};
}

TEST(CalibrationObservers, DoNotCareAboutTheOrderOfTheBatchesNorGrowWithTheirNumber) {
  torch::manual_seed(8);
  std::vector<at::Tensor> batches;
  for (int i = 0; i < 40; ++i) batches.push_back(torch::randn({50}) * std::exp2(i % 7 - 3));
  for (const auto& factory : all_factories()) {
    const auto forwards = factory();
    const auto backwards = factory();
    const at::Tensor handle = forwards->named_buffers()["histogram"];
    for (size_t i = 0; i < batches.size(); ++i) {
      forwards->forward(batches[i]);
      backwards->forward(batches[batches.size() - 1 - i]);
    }
    EXPECT_EQ(handle.numel(), 2 * 2048);
    EXPECT_EQ(handle.sum().item<int64_t>(), 40 * 50);
    EXPECT_TRUE(identical(handle, backwards->named_buffers()["histogram"]));
    EXPECT_TRUE(identical(forwards->calculate_qparams().scale, backwards->calculate_qparams().scale)) << factory;
    forwards->reset_min_max_vals();
    EXPECT_EQ(handle.sum().item<int64_t>(), 0);
  }
}

TEST(CalibrationObservers, QuantizeHeavyTailsToFourBitsBetterThanTheirExtremesDo) {
  torch::manual_seed(9);
  const at::Tensor values = torch::randn({20000}).pow(3);
  const auto error_with = [&](ObserverBase& observer) {
    observer.forward(values);
    const auto [scale, zero_point] = observer.calculate_qparams();
    const at::Tensor rounded = torch::fake_quantize_per_tensor_affine(values, scale, zero_point.to(torch::kInt), 0, 15);
    return (rounded - values).pow(2).mean().item<double>();
  };
  MinMaxObserver extremes(MinMaxObserverOptions().quant_min(0).quant_max(15));
  MSEObserver mse(MSEObserverOptions().quant_min(0).quant_max(15));
  EntropyObserver entropy(EntropyObserverOptions().quant_min(0).quant_max(15));
  PercentileObserver percentile(PercentileObserverOptions().quant_min(0).quant_max(15).percentile(99.9));
  const double worst = error_with(extremes);
  const double best = error_with(mse);
  EXPECT_LT(best, 0.6 * worst);
  EXPECT_LT(error_with(percentile), 0.8 * worst);
  EXPECT_GE(error_with(entropy), best);  // it minimizes something else
}

TEST(CalibrationObservers, KeepTheWholeRangeWhereNothingIsWorthClipping) {
  const at::Tensor grid = torch::arange(256, torch::kFloat);
  MinMaxObserver extremes;
  extremes.forward(grid);
  for (const auto& factory : {EntropyObserver::with_args(), MSEObserver::with_args(),
                              PercentileObserver::with_args(PercentileObserverOptions().percentile(100))}) {
    const auto observer = factory();
    observer->forward(grid);
    EXPECT_TRUE(identical(observer->calculate_qparams().scale, extremes.calculate_qparams().scale)) << factory;
  }
}

TEST(CalibrationObservers, TakeInputsOfEveryDTypeAndTheExtremesOfFloat) {
  for (const auto& factory : all_factories()) {
    for (const auto dtype : {torch::kHalf, torch::kBFloat16, torch::kFloat, torch::kDouble}) {
      const auto observer = factory();
      observer->forward(torch::tensor({-2.0F, 0.0F, 1.0F}).to(dtype));
      EXPECT_TRUE(observer->is_calibrated());
      EXPECT_GT(observer->calculate_qparams().scale.item<float>(), 0);
    }
    const auto observer = factory();
    observer->forward(torch::tensor({1e-45F}));
    observer->forward(torch::tensor({1.5e38F, -1.5e38F}));
    const at::Tensor histogram = observer->named_buffers()["histogram"];
    EXPECT_EQ(histogram[2048].item<int64_t>(), 1);
    EXPECT_EQ(histogram.sum().item<int64_t>(), 3);
  }
}

TEST(CalibrationObservers, RefuseOrIgnoreNonFiniteInput) {
  const at::Tensor broken = torch::tensor({NAN, 1.0F, -INFINITY});
  for (const auto& factory : all_factories()) {
    const auto observer = factory();
    EXPECT_NE(error_of([&] { observer->calculate_qparams(); }).find("has seen no data"), std::string::npos);
    EXPECT_NE(error_of([&] { observer->forward(broken); }).find("1 NaN and 1 infinities"), std::string::npos);
    EXPECT_EQ(observer->named_buffers()["histogram"].sum().item<int64_t>(), 0);
  }
  MSEObserver lenient(MSEObserverOptions().ignore_non_finite(true));
  lenient.forward(torch::full({3}, NAN));
  EXPECT_FALSE(lenient.is_calibrated());
  lenient.forward(broken);
  EXPECT_EQ(lenient.histogram().sum().item<int64_t>(), 1);
  EXPECT_EQ(test::printed(lenient), "MSEObserver(min_val=1.0, max_val=1.0)");
}

TEST(CalibrationObservers, RefuseOptionsThatCannotBe) {
  EXPECT_EQ(error_of([] { EntropyObserver::with_args(EntropyObserverOptions().bins(0)); }),
            "EntropyObserver: bins is 0, expected a positive number");
  EXPECT_EQ(error_of([] { PercentileObserver::with_args(PercentileObserverOptions().percentile(101)); }),
            "PercentileObserver: percentile is 101, expected above 0 and up to 100");
  EXPECT_EQ(error_of([] { MSEObserver::with_args(MSEObserverOptions().candidates(0)); }),
            "MSEObserver: candidates is 0, expected a positive number");
  EXPECT_NE(error_of([] { MSEObserver::with_args(MSEObserverOptions().is_dynamic(true)); }).find("is_dynamic is not possible"),
            std::string::npos);
}

}  // namespace
}  // namespace octet
