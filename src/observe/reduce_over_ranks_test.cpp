#include <octet/observe/default_observers.h>
#include <octet/observe/entropy_observer.h>
#include <octet/observe/histogram_observer.h>
#include <octet/observe/learnable_fake_quantize.h>
#include <octet/observe/min_max_observer.h>
#include <octet/observe/mse_observer.h>
#include <octet/observe/percentile_observer.h>

#include <observe/observer_test_support.h>
#include <observe/rank_reduction_test_support.h>

namespace octet {
namespace {

using test::identical;
using test::reduce_over_ranks;

using Batches = std::vector<at::Tensor>;

/// Batches of [5, 3] whose ranges differ, so that the ranks' do.
Batches batches_of_growing_range(int count) {
  torch::manual_seed(11);
  Batches batches;
  for (int i = 0; i < count; ++i) batches.push_back(torch::randn({5, 3}) * (1 + i % 7) + 0.1 * i);
  return batches;
}

/// Shares the batches out: rank r sees every ranks-th one from r on, and, of more than two, the last rank sees nothing.
std::vector<std::shared_ptr<ObserverBase>> shards(const ObserverFactory& factory, int ranks, const Batches& batches) {
  std::vector<std::shared_ptr<ObserverBase>> observers;
  for (int rank = 0; rank < ranks; ++rank) observers.push_back(factory());
  const size_t busy = ranks > 2 ? ranks - 1 : ranks;
  for (size_t i = 0; i < batches.size(); ++i) observers[i % busy]->forward(batches[i]);
  return observers;
}

std::shared_ptr<ObserverBase> one_observer(const ObserverFactory& factory, const Batches& batches) {
  auto observer = factory();
  for (const at::Tensor& batch : batches) observer->forward(batch);
  return observer;
}

void expect_same_state(const ObserverBase& actual, const ObserverBase& expected) {
  for (const auto& buffer : expected.named_buffers()) {
    EXPECT_TRUE(identical(actual.named_buffers()[buffer.key()], buffer.value())) << expected << "." << buffer.key();
  }
}

TEST(ReduceOverRanks, GivesExtremesAndExactHistogramsToTheBitAsOneObserverOfEverything) {
  const Batches batches = batches_of_growing_range(13);
  for (const auto& factory :
       {MinMaxObserver::with_args(), PerChannelMinMaxObserver::with_args(PerChannelMinMaxObserverOptions().ch_axis(1)),
        EntropyObserver::with_args(EntropyObserverOptions().bins(512)), PercentileObserver::with_args(),
        MSEObserver::with_args()}) {
    const auto expected = one_observer(factory, batches);
    for (const int ranks : {1, 2, 4}) {
      SCOPED_TRACE(c10::str(factory, " on ", ranks, " ranks"));
      const auto observers = shards(factory, ranks, batches);
      EXPECT_EQ(reduce_over_ranks(observers), std::vector<std::string>(ranks));
      for (const auto& observer : observers) {
        expect_same_state(*observer, *expected);
        EXPECT_TRUE(identical(observer->calculate_qparams().scale, expected->calculate_qparams().scale));
        EXPECT_TRUE(identical(observer->calculate_qparams().zero_point, expected->calculate_qparams().zero_point));
      }
    }
  }
}

TEST(ReduceOverRanks, TakesTheExtremesOfMovingAverages) {
  const auto whole = [](double low, double high) {
    auto observer = MovingAverageMinMaxObserver::with_args(MovingAverageMinMaxObserverOptions().averaging_constant(0.5))();
    observer->forward(torch::tensor({0.0F, 0.0F}));
    observer->forward(torch::tensor({low, high}));
    return observer;
  };
  const auto observers = std::vector{whole(-2, 8), whole(-6, 4)};
  EXPECT_EQ(reduce_over_ranks(observers), std::vector<std::string>(2));
  for (const auto& observer : observers)
    EXPECT_EQ(test::printed(*observer), "MovingAverageMinMaxObserver(min_val=-3.0, max_val=4.0)");

  const auto factory = MovingAveragePerChannelMinMaxObserver::with_args();
  const auto rows = std::vector{factory(), factory(), factory()};
  rows[0]->forward(torch::tensor({{1.0F, 2.0F}, {-5.0F, 5.0F}}));
  rows[2]->forward(torch::tensor({{-1.0F, 1.0F}, {-4.0F, 6.0F}}));
  EXPECT_EQ(reduce_over_ranks(rows), std::vector<std::string>(3));
  for (const auto& observer : rows) {
    EXPECT_TRUE(identical(observer->named_buffers()["min_val"], torch::tensor({-1.0F, -5.0F})));
    EXPECT_TRUE(identical(observer->named_buffers()["max_val"], torch::tensor({2.0F, 6.0F})));
  }
}

// Moving counts into wider bins misplaces each by less than a bin of the histogram that they are moved to, on one process as on
// many. So the distributions, as functions of the value, are two bins apart at most.
TEST(ReduceOverRanks, GivesHistogramsThatAreTwoBinsFromThatOfOneObserverAtMost) {
  torch::manual_seed(12);
  Batches batches;
  for (int i = 0; i < 24; ++i) batches.push_back(torch::randn({2000}) * (1 + i % 5));
  const auto factory = HistogramObserver::with_args();
  const auto expected = std::dynamic_pointer_cast<HistogramObserver>(one_observer(factory, batches));
  const at::Tensor expected_sums = expected->histogram().to(torch::kDouble).cumsum(0);
  for (const int ranks : {1, 2, 4}) {
    const auto observers = shards(factory, ranks, batches);
    EXPECT_EQ(reduce_over_ranks(observers), std::vector<std::string>(ranks));
    for (const auto& observer : observers) {
      expect_same_state(*observer, *observers.front());
      EXPECT_EQ(test::printed(*observer), test::printed(*expected));  // min_val and max_val
      const at::Tensor sums = observer->named_buffers()["histogram"].to(torch::kDouble).cumsum(0);
      const int64_t bins = sums.numel();
      EXPECT_NEAR(sums[-1].item<double>(), 48000, 0.5);
      EXPECT_TRUE((sums.slice(0, 0, bins - 2) <= expected_sums.slice(0, 2) + 0.5).all().item<bool>());
      EXPECT_TRUE((sums.slice(0, 2) >= expected_sums.slice(0, 0, bins - 2) - 0.5).all().item<bool>());
      const auto scale = observer->calculate_qparams().scale.item<double>();
      EXPECT_NEAR(scale, expected->calculate_qparams().scale.item<double>(), 0.01 * scale);
    }
  }
}

TEST(ReduceOverRanks, SumsHistogramsOfOneRangeExactly) {
  const auto factory = HistogramObserver::with_args(HistogramObserverOptions().bins(16));
  const Batches batches{torch::arange(33, torch::kFloat), torch::tensor({0.0F, 1.0F, 7.0F, 32.0F})};
  const auto observers = shards(factory, 2, batches);
  EXPECT_EQ(reduce_over_ranks(observers), std::vector<std::string>(2));
  for (const auto& observer : observers) expect_same_state(*observer, *one_observer(factory, batches));
}

TEST(ReduceOverRanks, LeavesObserversThatHaveSeenNothingAsTheyWere) {
  for (const auto& factory : {MinMaxObserver::with_args(), PerChannelMinMaxObserver::with_args(), HistogramObserver::with_args(),
                              MSEObserver::with_args(), MovingAverageMinMaxObserver::with_args()}) {
    const auto observers = shards(factory, 2, {});
    EXPECT_EQ(reduce_over_ranks(observers), std::vector<std::string>(2));
    for (const auto& observer : observers) expect_same_state(*observer, *factory());
  }
}

TEST(ReduceOverRanks, KeepsTheBuffersAndLetsObserversGoOn) {
  const auto factory = PerChannelMinMaxObserver::with_args();
  const auto observers = std::vector{factory(), factory()};
  const at::Tensor handle = observers[1]->named_buffers()["min_val"];
  observers[0]->forward(torch::tensor({{1.0F}, {-2.0F}}));
  reduce_over_ranks(observers);
  EXPECT_TRUE(identical(handle, torch::tensor({1.0F, -2.0F})));
  observers[1]->forward(torch::tensor({{-3.0F}, {0.0F}}));
  EXPECT_TRUE(identical(handle, torch::tensor({-3.0F, -2.0F})));
}

TEST(ReduceOverRanks, FailsOnAllRanksAlikeAndLeavesThemAsTheyWere) {
  const auto channels = PerChannelMinMaxObserver::with_args();
  const auto observers = std::vector{channels(), channels(), channels()};
  observers[0]->forward(torch::ones({2, 4}));
  observers[2]->forward(torch::ones({3, 4}));
  const auto errors = reduce_over_ranks(observers);
  EXPECT_EQ(errors[0],
            "PerChannelMinMaxObserver: the processes saw inputs of 2 to 3 channels, this one of 2; all of them must run the "
            "same model on inputs of the same kind");
  EXPECT_NE(errors[1].find("of 2 to 3 channels, this one of 0"), std::string::npos) << errors[1];
  EXPECT_NE(errors[2].find("of 2 to 3 channels, this one of 3"), std::string::npos) << errors[2];
  EXPECT_EQ(observers[1]->named_buffers()["min_val"].numel(), 0);

  const auto histograms = std::vector{HistogramObserver::with_args()(), HistogramObserver::with_args()()};
  histograms[0]->forward(torch::tensor({1.0F, 3e38F}));
  histograms[1]->forward(torch::tensor({-3e38F, 1.0F}));
  for (const auto& error : reduce_over_ranks(histograms)) {
    EXPECT_NE(error.find("too far apart for float32"), std::string::npos) << error;
  }
  EXPECT_EQ(histograms[1]->named_buffers()["max_val"].item<float>(), 1);
}

TEST(ReduceOverRanks, LetsScalesFollowTheRangeUnlessTheyLearn) {
  const auto factory = LearnableFakeQuantize::with_args(MinMaxObserver::with_args());
  const auto learning = std::dynamic_pointer_cast<LearnableFakeQuantize>(factory());
  const auto resting = std::dynamic_pointer_cast<LearnableFakeQuantize>(factory());
  learning->forward(torch::tensor({0.0F, 255.0F}));
  learning->enable_param_learning();
  resting->forward(torch::tensor({0.0F, 510.0F}));
  EXPECT_EQ(reduce_over_ranks({learning, resting}), std::vector<std::string>(2));
  EXPECT_EQ(learning->activation_post_process()->named_buffers()["max_val"].item<float>(), 510);
  EXPECT_EQ(learning->scale().item<float>(), 1);
  EXPECT_EQ(resting->scale().item<float>(), 2);
}

TEST(ReduceOverRanks, DoesNothingWhereThereIsNoStateToReduce) {
  for (const auto& factory : {PlaceholderObserver::with_args(), default_fixed_qparams_range_0to1_observer}) {
    const auto observers = shards(factory, 2, {torch::ones({2})});
    EXPECT_EQ(reduce_over_ranks(observers), std::vector<std::string>(2));
  }
}

}  // namespace
}  // namespace octet
