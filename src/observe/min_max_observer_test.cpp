#include <octet/observe/min_max_observer.h>

#include <observe/observer_test_support.h>

#include <c10/core/InferenceMode.h>

namespace octet {
namespace {

using test::Dict;
using test::error_of;
using test::identical;

const float kInfinity = std::numeric_limits<float>::infinity();

std::shared_ptr<ObserverBase> observer_for(const Dict& answer) {
  const Dict options = answer.at("options").toGenericDict();
  const std::map<std::string, std::function<ObserverFactory()>> factories{
      {"MinMaxObserver", [&] { return MinMaxObserver::with_args(test::options_from<MinMaxObserverOptions>(options)); }},
      {"MovingAverageMinMaxObserver",
       [&] { return MovingAverageMinMaxObserver::with_args(test::options_from<MovingAverageMinMaxObserverOptions>(options)); }},
      {"PerChannelMinMaxObserver",
       [&] { return PerChannelMinMaxObserver::with_args(test::options_from<PerChannelMinMaxObserverOptions>(options)); }},
      {"MovingAveragePerChannelMinMaxObserver", [&] {
         return MovingAveragePerChannelMinMaxObserver::with_args(
             test::options_from<MovingAveragePerChannelMinMaxObserverOptions>(options));
       }}};
  return factories.at(test::string_at(answer, "observer"))()();
}

TEST(MinMaxObservers, AnswerToTheBitWhatTorchAnswersAfterEveryBatch) {
  at::set_num_threads(1);  // at::aminmax wakes all threads for three numbers, which takes long on a busy machine
  const auto oracle = test::load_oracle("observe/min_max_observer");
  const Dict streams = oracle.at("streams").toGenericDict();
  const auto cases = oracle.at("cases").toList();
  ASSERT_GT(cases.size(), 2000);
  for (size_t i = 0; i < cases.size(); ++i) {
    const Dict answer = cases.get(i).toGenericDict();
    const auto observer = observer_for(answer);
    SCOPED_TRACE(observer->describe() + " on " + test::string_at(answer, "stream"));
    const auto batches = test::tensors_of(streams.at(answer.at("stream")));
    const auto ranges = answer.at("ranges").toList();
    for (size_t k = 0; k < batches.size(); ++k) {
      ASSERT_TRUE(observer->forward(batches[k]).is_same(batches[k]));
      const auto range = test::tensors_of(ranges.get(k));
      ASSERT_TRUE(identical(observer->named_buffers()["min_val"], range[0]));
      ASSERT_TRUE(identical(observer->named_buffers()["max_val"], range[1]));
    }
    ASSERT_TRUE(identical(observer->calculate_qparams(), answer));
    ASSERT_EQ(observer->quant_min(), answer.at("quant_min").toInt());
    ASSERT_EQ(observer->quant_max(), answer.at("quant_max").toInt());
    ASSERT_EQ(test::printed(*observer), test::string_at(answer, "printed"));
  }
}

TEST(MinMaxObserver, DoesNotCareAboutTheOrderOfTheBatches) {
  torch::manual_seed(2);
  std::vector<at::Tensor> batches;
  for (int i = 0; i < 20; ++i) batches.push_back(torch::randn({7, 3}));
  MinMaxObserver forwards;
  MinMaxObserver backwards;
  for (size_t i = 0; i < batches.size(); ++i) {
    forwards.forward(batches[i]);
    backwards.forward(batches[batches.size() - 1 - i]);
  }
  EXPECT_TRUE(identical(forwards.min_val(), backwards.min_val()));
  EXPECT_TRUE(identical(forwards.calculate_qparams().scale, backwards.calculate_qparams().scale));
}

TEST(MinMaxObserver, KeepsItsBuffersUnderPythonsNamesAndUpdatesThemInPlace) {
  PerChannelMinMaxObserver observer;
  EXPECT_EQ(observer.named_buffers().keys(), (std::vector<std::string>{"eps", "min_val", "max_val"}));
  const at::Tensor handle = observer.named_buffers()["min_val"];
  observer.forward(torch::tensor({{1.0F, -2.0F}, {3.0F, 4.0F}}));
  EXPECT_TRUE(identical(handle, torch::tensor({-2.0F, 3.0F})));
  observer.reset_min_max_vals();
  EXPECT_EQ(handle.numel(), 0);
  EXPECT_FALSE(observer.is_calibrated());
}

TEST(MinMaxObservers, RefuseNonFiniteInputAndStayAsTheyWere) {
  const at::Tensor good = torch::tensor({{1.0F, 2.0F}, {-3.0F, 4.0F}});
  for (const auto& factory : {MinMaxObserver::with_args(), MovingAverageMinMaxObserver::with_args(),
                              PerChannelMinMaxObserver::with_args(), MovingAveragePerChannelMinMaxObserver::with_args()}) {
    const auto observer = factory();
    observer->forward(good);
    const std::string before = test::printed(*observer);
    const std::string text = error_of([&] { observer->forward(torch::tensor({{1.0F, NAN}, {-kInfinity, kInfinity}})); });
    EXPECT_EQ(text, factory.name() +
                        ": among the 4 elements of its input are 1 NaN and 2 infinities (as Float). Find out what makes them, or "
                        "leave them out with the option ignore_non_finite(true)");
    EXPECT_EQ(test::printed(*observer), before);
  }
  MinMaxObserver beyond_float;
  EXPECT_NE(error_of([&] { beyond_float.forward(torch::full({1}, 1e300, torch::kDouble)); }).find("1 infinities"),
            std::string::npos);
}

TEST(MinMaxObservers, LeaveNonFiniteElementsOutIfToldTo) {
  const at::Tensor first = torch::tensor({{NAN, -2.0F, 5.0F}, {kInfinity, NAN, -kInfinity}});
  const at::Tensor second = torch::tensor({{1.0F, 1.0F, 1.0F}, {-1.0F, 7.0F, kInfinity}});

  MinMaxObserver whole(MinMaxObserverOptions().ignore_non_finite(true));
  whole.forward(torch::full({3}, NAN));
  EXPECT_FALSE(whole.is_calibrated());
  whole.forward(first);
  EXPECT_EQ(test::printed(whole), "MinMaxObserver(min_val=-2.0, max_val=5.0)");

  MovingAveragePerChannelMinMaxObserver rows(
      MovingAveragePerChannelMinMaxObserverOptions().ignore_non_finite(true).averaging_constant(0.5));
  rows.forward(first);
  EXPECT_NE(error_of([&] { rows.calculate_qparams(); }).find("has seen no finite value in some channel"), std::string::npos);
  rows.forward(second);
  rows.forward(first);
  EXPECT_TRUE(identical(rows.min_val(), torch::tensor({-1.25F, -1.0F})));
  EXPECT_TRUE(identical(rows.max_val(), torch::tensor({4.0F, 7.0F})));
}

TEST(MinMaxObservers, SayThatTheyHaveSeenNothing) {
  MinMaxObserver observer;
  observer.forward(torch::empty({0, 3}));
  EXPECT_EQ(error_of([&] { observer.calculate_qparams(); }),
            "MinMaxObserver has seen no data, so it knows no scale: run forward on calibration batches before asking for qparams "
            "or converting");
}

TEST(MinMaxObservers, RefuseOptionsThatCannotBe) {
  const auto error = [](const auto& options, auto make) { return error_of([&] { make(options); }); };
  const auto min_max = [&](const MinMaxObserverOptions& options) {
    return error(options, [](const auto& given) { MinMaxObserver::with_args(given); });
  };
  EXPECT_EQ(min_max(MinMaxObserverOptions().qscheme(per_channel_affine)),
            "MinMaxObserver: qscheme is per_channel_affine, expected per_tensor_affine or per_tensor_symmetric; "
            "PerChannelMinMaxObserver takes the others");
  EXPECT_NE(min_max(MinMaxObserverOptions().dtype(float16)).find("dtype is float16"), std::string::npos);
  EXPECT_NE(min_max(MinMaxObserverOptions().qscheme(per_tensor_symmetric).reduce_range(true)).find("zero point is 128"),
            std::string::npos);
  EXPECT_NE(min_max(MinMaxObserverOptions().quant_min(0)).find("only quant_min is set"), std::string::npos);
  EXPECT_NE(min_max(MinMaxObserverOptions().quant_min(1).quant_max(9)).find("hold 0 between"), std::string::npos);
  EXPECT_NE(min_max(MinMaxObserverOptions().quant_min(0).quant_max(0)).find("must be different"), std::string::npos);
  EXPECT_NE(min_max(MinMaxObserverOptions().quant_min(0).quant_max(256)).find("beyond quint8, which holds 0 to 255"),
            std::string::npos);
  EXPECT_NE(min_max(MinMaxObserverOptions().eps(0)).find("eps is 0"), std::string::npos);
  EXPECT_NE(error(MovingAverageMinMaxObserverOptions().is_dynamic(true),
                  [](const auto& given) { MovingAverageMinMaxObserver::with_args(given); })
                .find("needs an averaging_constant of 1, got 0.01"),
            std::string::npos);
  EXPECT_NE(error(PerChannelMinMaxObserverOptions().is_dynamic(true),
                  [](const auto& given) { PerChannelMinMaxObserver::with_args(given); })
                .find("per-tensor observers only"),
            std::string::npos);
}

TEST(PerChannelMinMaxObserver, RefusesInputsWhoseChannelsDoNotFit) {
  PerChannelMinMaxObserver observer(PerChannelMinMaxObserverOptions().ch_axis(1));
  EXPECT_NE(error_of([&] { observer.forward(torch::ones({3})); }).find("ch_axis 1 is no dimension of an input of sizes [3]"),
            std::string::npos);
  observer.forward(torch::ones({2, 3}));
  EXPECT_NE(error_of([&] { observer.forward(torch::ones({2, 4})); }).find("has 4 channels in dimension 1, earlier ones had 3"),
            std::string::npos);
}

TEST(MinMaxObservers, CloneDeeplyAndKeepTheirDTypesInAModelOfHalves) {
  MovingAverageMinMaxObserver original(MovingAverageMinMaxObserverOptions().averaging_constant(0.5).dtype(qint8));
  original.forward(torch::tensor({-1.0F, 2.0F}));
  original.to(torch::kHalf);
  original.to(torch::kCPU, torch::kDouble);
  EXPECT_EQ(original.min_val().scalar_type(), torch::kFloat);

  const auto clone = std::dynamic_pointer_cast<MovingAverageMinMaxObserver>(original.clone());
  ASSERT_NE(clone, nullptr);
  EXPECT_EQ(clone->describe(), "MovingAverageMinMaxObserver(dtype=qint8, averaging_constant=0.5)");
  clone->forward(torch::tensor({-3.0F, 4.0F}));
  EXPECT_EQ(test::printed(*clone), "MovingAverageMinMaxObserver(min_val=-2.0, max_val=3.0)");
  EXPECT_EQ(test::printed(original), "MovingAverageMinMaxObserver(min_val=-1.0, max_val=2.0)");
  EXPECT_TRUE(clone->named_buffers()["min_val"].is_same(clone->min_val()));
}

TEST(MinMaxObservers, RecordInInferenceModeAndAfterIt) {
  const auto factory = PerChannelMinMaxObserver::with_args();
  std::shared_ptr<ObserverBase> observer;
  {
    const c10::InferenceMode inference;
    observer = factory();
    observer->forward(torch::tensor({{1.0F}, {2.0F}}));
  }
  observer->forward(torch::tensor({{-1.0F}, {5.0F}}, torch::requires_grad()));
  EXPECT_EQ(test::printed(*observer), "PerChannelMinMaxObserver(min_val=tensor([-1.,  2.]), max_val=tensor([1., 5.]))");
}

}  // namespace
}  // namespace octet
