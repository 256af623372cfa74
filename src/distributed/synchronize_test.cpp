#include <octet/distributed/synchronize.h>
#include <octet/nn/modules.h>
#include <octet/nn/qfunctional.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/observe/entropy_observer.h>
#include <octet/observe/fake_quantize.h>
#include <octet/observe/histogram_observer.h>
#include <octet/observe/mse_observer.h>
#include <octet/observe/percentile_observer.h>
#include <octet/workflow/convert.h>
#include <octet/workflow/prepare.h>

#include <distributed/ranks_test_support.h>

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

namespace octet::distributed {
namespace {

using test::on_ranks;
using test::same_bits;
using test::same_state;
using Texts = std::vector<std::string>;

/// Observers of all classes side by side.
struct ObserversImpl : torch::nn::Cloneable<ObserversImpl> {
  explicit ObserversImpl(const std::vector<ObserverFactory>& factories) {
    for (const auto& factory : factories) observers.push_back(register_module(c10::str(observers.size()), factory()));
  }
  void reset() override {}
  void forward(const at::Tensor& x) {
    for (const auto& observer : observers) observer->forward(x);
  }

  std::vector<std::shared_ptr<ObserverBase>> observers;
};

std::vector<ObserverFactory> exact_factories() {
  return {MinMaxObserver::with_args(),
          PerChannelMinMaxObserver::with_args(PerChannelMinMaxObserverOptions().ch_axis(1)),
          EntropyObserver::with_args(),
          PercentileObserver::with_args(),
          MSEObserver::with_args(),
          FakeQuantize::with_args(MinMaxObserver::with_args()),
          FakeQuantize::with_args(PerChannelMinMaxObserver::with_args()),
          default_fixed_qparams_range_0to1_observer};
}

/// Rank r takes as many of the batches as its rank says: the first none, the second one, the third two; the last what is left.
std::vector<at::Tensor> part_of(const std::vector<at::Tensor>& batches, int rank, int ranks) {
  const int begin = rank * (rank - 1) / 2;
  const int end = rank + 1 == ranks ? static_cast<int>(batches.size()) : begin + rank;
  return {batches.begin() + begin, batches.begin() + end};
}

std::vector<at::Tensor> some_batches() {
  std::vector<at::Tensor> batches;
  for (int i = 0; i < 9; ++i) batches.push_back(torch::randn({8, 6}) * (i + 1));
  return batches;
}

TEST(SyncObservers, GivesEachObserverTheStateOfOneThatSawTheBatchesOfAllRanks) {
  const auto batches = some_batches();
  ObserversImpl expected(exact_factories());
  for (const auto& batch : batches) expected.forward(batch);
  for (const int ranks : {1, 2, 4}) {
    const Texts errors = on_ranks(ranks, [&](const ProcessGroup& group) {
      ObserversImpl model(exact_factories());
      for (const auto& batch : part_of(batches, group.rank(), ranks)) model.forward(batch);
      sync_observers(model, group);
      EXPECT_TRUE(same_state(model, expected)) << "rank " << group.rank() << " of " << ranks;
    });
    EXPECT_EQ(errors, Texts(ranks));
  }
}

TEST(SyncObservers, GivesAllRanksTheSameBitsWhereMoreThanExtremesIsKept) {
  const auto batches = some_batches();
  const std::vector<ObserverFactory> factories{HistogramObserver::with_args(), MovingAverageMinMaxObserver::with_args(),
                                               MovingAveragePerChannelMinMaxObserver::with_args(), FakeQuantize::with_args(),
                                               FusedMovingAvgObsFakeQuantize::with_args()};
  ObserversImpl one_process(factories);
  for (const auto& batch : batches) one_process.forward(batch);
  std::vector<std::shared_ptr<ObserversImpl>> models(4);
  const Texts errors = on_ranks(4, [&](const ProcessGroup& group) {
    auto& model = models[group.rank()] = std::make_shared<ObserversImpl>(factories);
    for (const auto& batch : part_of(batches, group.rank(), 4)) model->forward(batch);
    sync_observers(*model, group);
  });
  EXPECT_EQ(errors, Texts(4));
  for (const auto& model : models) EXPECT_TRUE(same_state(*model, *models.front()));
  const auto scale = models.front()->observers.front()->calculate_qparams().scale.item<double>();
  EXPECT_NEAR(scale, one_process.observers.front()->calculate_qparams().scale.item<double>(), 0.02 * scale);
}

/// A network whose observers are behind slots and inside an LSTM.
struct NetImpl : octet::nn::Cloneable<NetImpl> {
  NetImpl() { reset(); }
  void reset() override {
    quant = register_module("quant", octet::nn::QuantStub());
    lstm = register_module("lstm", octet::nn::LSTM(torch::nn::LSTMOptions(6, 5).batch_first(true)));
    head = register_module("head", octet::nn::Linear(5, 3));
    dequant = register_module("dequant", octet::nn::DeQuantStub());
  }
  at::Tensor forward(const at::Tensor& x) {
    return dequant->forward(head->forward(std::get<0>(lstm->forward(quant->forward(x)))));
  }

  octet::nn::QuantStub quant{nullptr};
  octet::nn::LSTM lstm{nullptr};
  octet::nn::Linear head{nullptr};
  octet::nn::DeQuantStub dequant{nullptr};
};
TORCH_MODULE(Net);

TEST(SyncObservers, MakesRanksThatCalibratedWithPartsOfTheDataConvertToTheModelOfOneProcess) {
  Net net;
  net->eval();
  const QConfig qconfig{MinMaxObserver::with_args(), default_per_channel_weight_observer};
  std::vector<at::Tensor> batches;
  for (int i = 0; i < 5; ++i) batches.push_back(torch::randn({2, 4, 6}) * (i + 1));
  const auto quantized = [&](const std::vector<at::Tensor>& data, const std::function<void(Net&)>& synchronize) {
    const torch::NoGradGuard no_grad;
    Net model = prepare(net, qconfig);
    for (const auto& batch : data) model->forward(batch);
    synchronize(model);
    convert(*model);
    return model->forward(batches.back());
  };
  const at::Tensor expected = quantized(batches, [](Net&) {});
  const Texts errors = on_ranks(3, [&](const ProcessGroup& group) {
    const at::Tensor result = quantized(part_of(batches, group.rank(), 3), [&](Net& model) { sync_observers(*model, group); });
    EXPECT_TRUE(same_bits(result, expected)) << "rank " << group.rank();
  });
  EXPECT_EQ(errors, Texts(3));
}

TEST(SyncObservers, FailsOnAllRanksIfOneHasAnotherModel) {
  const std::vector<ObserverFactory> common{MinMaxObserver::with_args(), HistogramObserver::with_args()};
  const std::vector<ObserverFactory> longer{MinMaxObserver::with_args(), HistogramObserver::with_args(),
                                            MinMaxObserver::with_args()};
  const std::vector<ObserverFactory> other{MinMaxObserver::with_args(),
                                           HistogramObserver::with_args(HistogramObserverOptions().bins(64))};
  const std::vector models{common, common, longer, other};
  const Texts errors = on_ranks(4, [&](const ProcessGroup& group) {
    ObserversImpl model(models[group.rank()]);
    sync_observers(model, group);
  });
  const std::string start = "sync_observers: the processes do not have the same model. ";
  EXPECT_EQ(errors[0], start +
                           "Rank 0 has that of rank 0, but another has not, and says where; build and prepare it alike on all "
                           "of them");
  EXPECT_NE(errors[1].find("Rank 1 has that of rank 0"), std::string::npos) << errors[1];
  EXPECT_EQ(errors[2], start +
                           "Rank 2 has \"2: MinMaxObserver()\", where rank 0 has \"nothing more\"; build and prepare it alike on "
                           "all of them");
  EXPECT_EQ(errors[3], start +
                           "Rank 3 has \"1: HistogramObserver(bins=64)\", where rank 0 has \"1: HistogramObserver()\"; build and "
                           "prepare it alike on all of them");
}

TEST(SyncObservers, NamesTheObserverWhoseRanksSawDifferentChannels) {
  const Texts errors = on_ranks(2, [](const ProcessGroup& group) {
    ObserversImpl model({MinMaxObserver::with_args(), PerChannelMinMaxObserver::with_args()});
    model.forward(torch::ones({2 + group.rank(), 3}));
    sync_observers(model, group);
  });
  for (const auto& error : errors) {
    EXPECT_EQ(error.find("sync_observers: 1: PerChannelMinMaxObserver: the processes saw inputs of 2 to 3 channels"), 0) << error;
  }
}

TEST(BroadcastState, GivesAllRanksWhatRank0Has) {
  const auto model_of = [](int rank) {
    torch::nn::Sequential model(torch::nn::Linear(3, 2), torch::nn::BatchNorm1d(2));
    model->register_module("observers", std::make_shared<ObserversImpl>(exact_factories()));
    for (auto& tensor : model->parameters()) tensor.data().fill_(rank + 0.5);
    for (auto& tensor : model->buffers()) tensor.fill_(rank + 1);
    return model;
  };
  const auto rank_0 = model_of(0);
  rank_0->named_children()["observers"]->as<ObserversImpl>()->forward(torch::randn({8, 6}));
  const Texts errors = on_ranks(3, [&](const ProcessGroup& group) {
    auto model = group.rank() == 0 ? rank_0 : model_of(group.rank());
    const at::Tensor handle = model->named_buffers()["observers.1.min_val"];
    broadcast_state(*model, group);
    EXPECT_TRUE(same_state(*model, *rank_0)) << "rank " << group.rank();
    EXPECT_EQ(handle.numel(), 6);
  });
  EXPECT_EQ(errors, Texts(3));
}

TEST(BroadcastState, FailsOnAllRanksIfSizesDiffer) {
  const Texts errors = on_ranks(2, [](const ProcessGroup& group) {
    torch::nn::Linear model(3, 2 + group.rank());
    broadcast_state(*model, group);
  });
  EXPECT_NE(errors[0].find("broadcast_state: the processes do not have the same model. Rank 0 has that of rank 0"),
            std::string::npos)
      << errors[0];
  EXPECT_NE(errors[1].find("Rank 1 has \"weight: Float[3, 3]\", where rank 0 has \"weight: Float[2, 3]\""), std::string::npos)
      << errors[1];
}

}  // namespace
}  // namespace octet::distributed
