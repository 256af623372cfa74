#include <octet/distributed/distributed_data_parallel.h>
#include <octet/workflow/clone_model.h>

#include <distributed/ranks_test_support.h>

namespace octet::distributed {
namespace {

using test::on_ranks;
using test::rows_of;
using test::same_bits;
using Texts = std::vector<std::string>;

std::vector<at::Tensor> gradients_of(const torch::nn::Module& model) {
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : model.parameters()) gradients.push_back(parameter.grad().clone());
  return gradients;
}

/// More than one bucket of a MiB.
torch::nn::Sequential wide_network() {
  return torch::nn::Sequential(torch::nn::Linear(40, 600), torch::nn::ReLU(), torch::nn::Linear(600, 600), torch::nn::ReLU(),
                               torch::nn::Linear(600, 600), torch::nn::ReLU(), torch::nn::Linear(600, 5));
}

TEST(DistributedDataParallel, GivesTheGradientsOfOneProcessWithTheWholeBatch) {
  const auto origin = wide_network();
  const at::Tensor batch = torch::randn({16, 40});
  const auto loss_of = [](const at::Tensor& output) { return output.pow(2).mean(); };
  for (const int ranks : {1, 2, 4}) {
    std::vector<std::vector<at::Tensor>> gradients(ranks);
    const Texts errors = on_ranks(ranks, [&](const ProcessGroup& group) {
      auto model = clone_model(origin);
      DistributedDataParallel parallel(model, group, DistributedDataParallelOptions().bucket_cap_mb(1));
      for (int step = 0; step < 3; ++step) {  // the buckets are made anew after the first
        model->zero_grad();
        loss_of(parallel.forward(rows_of(batch, group))).backward();
      }
      gradients[group.rank()] = gradients_of(*model);
    });
    EXPECT_EQ(errors, Texts(ranks));
    auto model = clone_model(origin);
    loss_of(model->forward(batch)).backward();
    const auto expected = gradients_of(*model);
    for (const auto& of_rank : gradients) {
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(same_bits(of_rank[i], gradients.front()[i]));
        EXPECT_TRUE(torch::allclose(of_rank[i], expected[i], 1e-4, 1e-7)) << ranks << " ranks, parameter " << i;
      }
    }
  }
}

TEST(DistributedDataParallel, BeginsWithTheParametersOfRank0AndBroadcastsItsBuffers) {
  const auto network = [] { return torch::nn::Sequential(torch::nn::Linear(3, 2), torch::nn::BatchNorm1d(2)); };
  const std::vector origins{network(), network()};
  std::vector<at::Tensor> means(2);
  const Texts errors = on_ranks(2, [&](const ProcessGroup& group) {
    auto model = origins[group.rank()];
    DistributedDataParallel parallel(model, group);
    EXPECT_TRUE(test::same_state(*model, *origins[0]));
    parallel.forward(torch::full({4, 3}, group.rank() + 1.0)).sum().backward();
    const at::Tensor before = origins[0]->named_buffers()["1.running_mean"].clone();
    parallel.forward(torch::zeros({4, 3})).sum().backward();
    model->eval();
    parallel.forward(torch::full({1, 3}, 5.0));  // no collective
    means[group.rank()] = model->named_buffers()["1.running_mean"].clone();
  });
  EXPECT_EQ(errors, Texts(2));
  EXPECT_TRUE(same_bits(means[0], means[1]));
}

/// One of the two layers is left out, as the call says.
struct ForkImpl : torch::nn::Module {
  ForkImpl() {
    left = register_module("left", torch::nn::Linear(3, 2));
    right = register_module("right", torch::nn::Linear(3, 2));
    never = register_module("never", torch::nn::Linear(3, 2));
  }
  at::Tensor forward(const at::Tensor& x, bool goes_left) { return goes_left ? left->forward(x) : right->forward(x); }

  torch::nn::Linear left{nullptr}, right{nullptr}, never{nullptr};
};

TEST(DistributedDataParallel, GoesOnWithParametersThatSomeOrAllRanksLeaveOut) {
  const Texts errors = on_ranks(2, [](const ProcessGroup& group) {
    auto model = std::make_shared<ForkImpl>();
    DistributedDataParallel parallel(model, group, DistributedDataParallelOptions().find_unused_parameters(true));
    for (int step = 0; step < 3; ++step) {
      model->zero_grad();
      parallel.forward(torch::ones({1, 3}), group.rank() == 0).sum().backward();
      EXPECT_TRUE(model->left->bias.grad().equal(torch::full({2}, 0.5)));
      EXPECT_TRUE(model->right->bias.grad().equal(torch::full({2}, 0.5)));
      EXPECT_FALSE(model->never->bias.grad().defined());
    }
  });
  EXPECT_EQ(errors, Texts(2));
}

TEST(DistributedDataParallel, SaysThatParametersWereLeftOutIfNotToldToFindThem) {
  for (const auto& error : on_ranks(2, [](const ProcessGroup& group) {
         auto model = std::make_shared<ForkImpl>();
         DistributedDataParallel parallel(model, group);
         for (int step = 0; step < 2; ++step) parallel.forward(torch::ones({1, 3}), true).sum().backward();
       })) {
    EXPECT_NE(error.find("find_unused_parameters"), std::string::npos) << error;
  }
}

TEST(DistributedDataParallel, AddsGradientsOfForwardPassesThroughTheModuleWithoutReducingThem) {
  const torch::nn::Linear origin(2, 1);
  const Texts errors = on_ranks(2, [&](const ProcessGroup& group) {
    auto model = clone_model(origin);
    DistributedDataParallel parallel(model, group);
    const at::Tensor x = torch::full({1, 2}, group.rank() + 1.0);
    model->forward(x).sum().backward();
    EXPECT_TRUE(model->weight.grad().equal(x));
    parallel.forward(x).sum().backward();
    EXPECT_TRUE(model->weight.grad().equal(torch::full({1, 2}, 3.0)));  // the mean of 2 and 4
  });
  EXPECT_EQ(errors, Texts(2));
}

TEST(DistributedDataParallel, RefusesWhatItCannotTrain) {
  for (const auto& error : on_ranks(2, [](const ProcessGroup& group) {
         torch::nn::Linear model(2, 2);
         for (auto& parameter : model->parameters()) parameter.requires_grad_(false);
         DistributedDataParallel(model, group);
       })) {
    EXPECT_EQ(error.find("DistributedDataParallel: no parameter of the model requires a gradient"), 0) << error;
  }
  const Texts errors = on_ranks(1, [](const ProcessGroup& group) {
    DistributedDataParallel(torch::nn::Linear(2, 2), group, DistributedDataParallelOptions().bucket_cap_mb(0));
  });
  EXPECT_EQ(errors.front(), "DistributedDataParallel: bucket_cap_mb is 0, expected a positive number");
}

}  // namespace
}  // namespace octet::distributed
