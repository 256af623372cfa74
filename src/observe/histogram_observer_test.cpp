#include <octet/observe/histogram_observer.h>

#include <observe/observer_test_support.h>

namespace octet {
namespace {

using test::Dict;
using test::error_of;
using test::identical;

TEST(HistogramObserver, CountsAndSearchesToTheBitAsTorchDoes) {
  const auto oracle = test::load_oracle("observe/histogram_observer");
  const Dict streams = oracle.at("streams").toGenericDict();
  const auto cases = oracle.at("cases").toList();
  ASSERT_GT(cases.size(), 100);
  for (size_t i = 0; i < cases.size(); ++i) {
    const Dict answer = cases.get(i).toGenericDict();
    const std::string stream = test::string_at(answer, "stream");
    auto options = test::options_from<HistogramObserverOptions>(answer.at("options").toGenericDict());
    HistogramObserver observer(options.ignore_non_finite(stream == "infinite"));
    SCOPED_TRACE(observer.describe() + " on " + stream);
    const auto batches = test::tensors_of(streams.at(stream));
    const auto states = answer.at("states").toListRef();
    for (size_t k = 0; k < batches.size(); ++k) {
      ASSERT_TRUE(observer.forward(batches[k]).is_same(batches[k]));
      const auto state = test::tensors_of(states[k]);
      ASSERT_TRUE(identical(observer.histogram(), state[0]));
      ASSERT_TRUE(identical(observer.min_val(), state[1]));
      ASSERT_TRUE(identical(observer.max_val(), state[2]));
    }
    ASSERT_TRUE(identical(observer.calculate_qparams(), answer));
    ASSERT_EQ(test::printed(observer), test::string_at(answer, "printed"));
  }
}

TEST(HistogramObserver, KeepsItsSizeAndItsBuffersHoweverManyBatchesItSees) {
  HistogramObserver observer(HistogramObserverOptions().bins(128));
  EXPECT_EQ(observer.named_buffers().keys(), (std::vector<std::string>{"eps", "min_val", "max_val", "histogram"}));
  const at::Tensor handle = observer.named_buffers()["histogram"];
  torch::manual_seed(4);
  for (int i = 1; i <= 50; ++i) observer.forward(torch::randn({20}) * i);
  EXPECT_EQ(handle.numel(), 128);
  EXPECT_NEAR(handle.sum().item<double>(), 50 * 20, 0.05);
  observer.reset_min_max_vals();
  EXPECT_EQ(handle.sum().item<float>(), 0);
  EXPECT_FALSE(observer.is_calibrated());
}

TEST(HistogramObserver, CountsHalvesBeyondWhatTheirDTypeCounts) {
  for (const auto dtype : {torch::kHalf, torch::kBFloat16}) {
    HistogramObserver observer(HistogramObserverOptions().bins(4));
    observer.forward(torch::cat({torch::zeros({5000}), torch::ones({7000})}).to(dtype));
    EXPECT_TRUE(identical(observer.histogram(), torch::tensor({5000.0F, 0.0F, 0.0F, 7000.0F}))) << dtype;
  }
}

TEST(HistogramObserver, CutsOffAnOutlierThatCostsMoreThanItIsWorth) {
  HistogramObserver observer;
  torch::manual_seed(5);
  observer.forward(torch::cat({torch::rand({1000000}), torch::tensor({30.0F})}));
  EXPECT_LT(observer.calculate_qparams().scale.item<double>() * 255, 2);
}

TEST(HistogramObserver, RefusesWhatItCannotCountAndStaysAsItWas) {
  HistogramObserver observer(HistogramObserverOptions().bins(8));
  EXPECT_NE(error_of([&] { observer.calculate_qparams(); }).find("HistogramObserver has seen no data"), std::string::npos);
  observer.forward(torch::tensor({1.0F, 3e38F}));
  const at::Tensor before = observer.histogram().clone();
  EXPECT_NE(error_of([&] { observer.forward(torch::tensor({-3e38F})); }).find("too far apart for float32"), std::string::npos);
  EXPECT_NE(error_of([&] { observer.forward(torch::tensor({NAN, 1.0F})); }).find("1 NaN and 0 infinities"), std::string::npos);
  EXPECT_TRUE(identical(observer.histogram(), before));
  EXPECT_EQ(test::printed(observer), "HistogramObserver(min_val=1.0, max_val=3.0000000054977558e+38)");
}

TEST(HistogramObserver, RefusesOptionsThatCannotBe) {
  EXPECT_NE(error_of([] { HistogramObserver::with_args(HistogramObserverOptions().is_dynamic(true)); }).find("is_dynamic"),
            std::string::npos);
  EXPECT_NE(error_of([] { HistogramObserver::with_args(HistogramObserverOptions().bins(0)); }).find("bins is 0"),
            std::string::npos);
  EXPECT_NE(
      error_of([] { HistogramObserver::with_args(HistogramObserverOptions().upsample_rate(0)); }).find("upsample_rate is 0"),
      std::string::npos);
  EXPECT_NE(error_of([] {
              HistogramObserver::with_args(HistogramObserverOptions().qscheme(per_channel_affine));
            }).find("HistogramObserver: qscheme is per_channel_affine"),
            std::string::npos);
}

TEST(HistogramObserver, ClonesItsHistogram) {
  HistogramObserver original(HistogramObserverOptions().bins(16).upsample_rate(4));
  original.forward(torch::arange(32, torch::kFloat));
  const auto clone = std::dynamic_pointer_cast<HistogramObserver>(original.clone());
  clone->forward(torch::arange(32, torch::kFloat));
  EXPECT_EQ(original.histogram().sum().item<float>(), 32);
  EXPECT_EQ(clone->histogram().sum().item<float>(), 64);
  EXPECT_EQ(clone->describe(), "HistogramObserver(bins=16, upsample_rate=4)");
}

}  // namespace
}  // namespace octet
