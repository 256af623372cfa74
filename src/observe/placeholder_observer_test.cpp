#include <octet/observe/fixed_qparams_observer.h>
#include <octet/observe/placeholder_observer.h>

#include <observe/observer_test_support.h>

namespace octet {
namespace {

using test::error_of;
using test::identical;

TEST(PassThroughObservers, ReturnTheirInputAndComputeNoQParams) {
  const at::Tensor x = torch::tensor({1.0F, NAN});
  for (const auto& factory : {PlaceholderObserver::with_args(), RecordingObserver::with_args(), NoopObserver::with_args(),
                              ReuseInputObserver::with_args()}) {
    const auto observer = factory();
    EXPECT_TRUE(observer->forward(x).is_same(x));
    EXPECT_FALSE(observer->is_calibrated());
    EXPECT_EQ(error_of([&] { observer->calculate_qparams(); }),
              factory.name() +
                  " computes no qparams: it only says how to quantize. Use an observer such as MinMaxObserver where "
                  "a scale is needed");
    EXPECT_EQ(error_of([&] { observer->reset_min_max_vals(); }),
              factory.name() + " keeps no minimum and maximum that could be reset");
  }
}

TEST(PlaceholderObserver, HandsItsConfigurationOn) {
  const auto factory = PlaceholderObserver::with_args(
      PlaceholderObserverOptions().dtype(quint8).quant_min(0).quant_max(127).is_dynamic(true).per_row(true));
  EXPECT_EQ(factory.describe(), "PlaceholderObserver(dtype=quint8, quant_min=0, quant_max=127, is_dynamic=true, per_row=true)");
  EXPECT_EQ(factory.target().quant_max, 127);
  EXPECT_EQ(test::printed(*factory()), "PlaceholderObserver(dtype=torch.quint8, is_dynamic=True)");
  EXPECT_EQ(error_of([] { PlaceholderObserver::with_args(PlaceholderObserverOptions().per_row(true)); }),
            "PlaceholderObserver: per_row is for dynamic quantization; set is_dynamic(true) as well");
}

TEST(RecordingObserver, KeepsCopiesOfItsInputsAndSoDoesItsClone) {
  RecordingObserver observer;
  at::Tensor x = torch::ones({2}, torch::requires_grad());
  observer.forward(x);
  observer.forward(x * 2);
  {
    const torch::NoGradGuard no_grad;
    x.zero_();
  }
  const auto clone = std::dynamic_pointer_cast<RecordingObserver>(observer.clone());
  observer.forward(x);
  ASSERT_EQ(observer.get_tensor_value().size(), 3);
  ASSERT_EQ(clone->get_tensor_value().size(), 2);
  EXPECT_TRUE(identical(clone->get_tensor_value()[0], torch::ones({2})));
  EXPECT_FALSE(clone->get_tensor_value()[1].requires_grad());
  EXPECT_FALSE(clone->get_tensor_value()[1].is_same(observer.get_tensor_value()[1]));
}

TEST(FixedQParamsObserver, AnswersWithWhatItWasGiven) {
  const auto factory = FixedQParamsObserver::with_args(FixedQParamsObserverOptions(1.0 / 256, 3).dtype(qint8));
  const auto observer = factory();
  const at::Tensor x = torch::tensor({100.0F});
  EXPECT_TRUE(observer->forward(x).is_same(x));
  EXPECT_TRUE(identical(observer->calculate_qparams().scale, torch::tensor({1.0F / 256})));
  EXPECT_TRUE(identical(observer->calculate_qparams().zero_point, torch::tensor({3}, torch::kLong)));
  EXPECT_EQ(observer->named_buffers()["zero_point"].scalar_type(), torch::kInt);
  EXPECT_EQ(observer->quant_min(), -128);
  EXPECT_EQ(factory.describe(),
            "FixedQParamsObserver(scale=0.00390625, zero_point=3, dtype=qint8, qscheme=per_tensor_affine, "
            "quant_min=none, quant_max=none)");
}

TEST(FixedQParamsObserver, RefusesQParamsThatCannotBe) {
  const auto error = [](const FixedQParamsObserverOptions& options) {
    return error_of([&] { FixedQParamsObserver::with_args(options); });
  };
  EXPECT_EQ(error({0.0, 0}), "FixedQParamsObserver: scale is 0, expected a positive number");
  EXPECT_EQ(error({1.0, 256}), "FixedQParamsObserver: zero_point is 256, expected 0 to 255");
  EXPECT_NE(error(FixedQParamsObserverOptions(1.0, 0).qscheme(per_channel_affine)).find("expected per_tensor_affine"),
            std::string::npos);
  EXPECT_NE(error(FixedQParamsObserverOptions(1.0, 0).quant_min(-1)).find("are no range within quint8"), std::string::npos);
}

}  // namespace
}  // namespace octet
