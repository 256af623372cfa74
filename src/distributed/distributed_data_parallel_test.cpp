#include <octet/distributed/distributed_data_parallel.h>
#include <octet/distributed/synchronize.h>
#include <octet/observe/fake_quantize.h>
#include <octet/workflow/clone_model.h>

#include <distributed/ranks_test_support.h>

#include <cstdlib>
#include <filesystem>

namespace octet::distributed {
namespace {

using test::on_ranks;
using test::same_bits;
using Texts = std::vector<std::string>;

/// The rows of a batch that are a rank's.
at::Tensor part_of(const at::Tensor& batch, const ProcessGroup& group) { return batch.chunk(group.size())[group.rank()]; }

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
        loss_of(parallel.forward(part_of(batch, group))).backward();
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

/// Two layers with fake-quantized weights and activations.
struct FakeQuantizedNetImpl : torch::nn::Module {
  FakeQuantizedNetImpl() {
    fc1 = register_module("fc1", torch::nn::Linear(8, 16));
    fc2 = register_module("fc2", torch::nn::Linear(16, 4));
    const auto weights = FakeQuantize::with_args(
        PerChannelMinMaxObserver::with_args(PerChannelMinMaxObserverOptions().dtype(qint8).qscheme(per_channel_symmetric)));
    const auto activations = FakeQuantize::with_args(MinMaxObserver::with_args());
    weight1 = register_module("weight1", weights());
    weight2 = register_module("weight2", weights());
    hidden = register_module("hidden", activations());
    output = register_module("output", activations());
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor between =
        hidden->forward(torch::relu(torch::nn::functional::linear(x, weight1->forward(fc1->weight), fc1->bias)));
    return output->forward(torch::nn::functional::linear(between, weight2->forward(fc2->weight), fc2->bias));
  }

  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
  std::shared_ptr<ObserverBase> weight1, weight2, hidden, output;
};

/// All parameters and buffers behind each other.
at::Tensor state_of(const torch::nn::Module& model) {
  std::vector<at::Tensor> parts;
  for (const auto& tensor : model.parameters()) parts.push_back(tensor.detach().view(-1));
  for (const auto& tensor : model.buffers()) parts.push_back(tensor.view(-1).to(torch::kFloat));
  return torch::cat(parts);
}

/// A training run with all rows of each batch, or with those of a rank.
struct TrainingRun {
  at::Tensor after_few_steps;  ///< the state, with activations' observers off
  at::Tensor at_end;           ///< the state after many, in the last of which observers are on, and synchronized
  double loss = 0;             ///< at the end

  explicit TrainingRun(const std::optional<ProcessGroup>& group) {
    torch::manual_seed(group ? 100 + group->rank() : 100);  // ranks begin with other weights, but get those of rank 0
    auto model = std::make_shared<FakeQuantizedNetImpl>();
    std::optional<DistributedDataParallel<FakeQuantizedNetImpl>> parallel;
    if (group) parallel.emplace(model, *group);
    torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));
    torch::manual_seed(5);
    const at::Tensor teacher = torch::randn({8, 4});
    const auto inputs = [&] {
      const at::Tensor batch = torch::randn({32, 8});
      return group ? part_of(batch, *group) : batch;
    };
    const auto train = [&] {
      const at::Tensor x = inputs();
      optimizer.zero_grad();
      const at::Tensor result = group ? parallel->forward(x) : model->forward(x);
      torch::mse_loss(result, x.matmul(teacher)).backward();
      torch::nn::utils::clip_grad_norm_(model->parameters(), 1.0);
      optimizer.step();
    };

    model->apply(disable_fake_quant);
    for (int i = 0; i < 4; ++i) model->forward(inputs());  // calibrates
    if (group) sync_observers(*model, *group);
    model->apply(enable_fake_quant);
    for (const auto& activation : {model->hidden, model->output}) disable_observer(*activation);
    for (int step = 0; step < 4; ++step) train();
    after_few_steps = state_of(*model);
    for (int step = 0; step < 60; ++step) train();

    model->apply(enable_observer);
    for (int step = 0; step < 20; ++step) {
      train();
      if (group) sync_observers(*model, *group);
    }
    at_end = state_of(*model);
    const at::Tensor x = torch::randn({256, 8});
    model->apply(disable_observer);
    loss = torch::mse_loss(model->forward(x), x.matmul(teacher)).item<double>();
  }
};

constexpr const char* kDirectoryVariable = "OCTET_TEST_DIRECTORY";

// Summation in another order moves few values across a rounding boundary, but from then on a run goes its own way. So states are
// compared after few steps, and losses at the end.
TEST(QuantizationAwareTraining, EndsWithTheSameBitsInAllProcessesAndTheLossOfOneProcess) {
  const auto file_of = [](int rank) { return std::filesystem::path(std::getenv(kDirectoryVariable)) / c10::str(rank, ".pt"); };
  at::set_num_threads(1);
  if (LaunchEnvironment::read()) {
    const ProcessGroup group = init_process_group(ProcessGroupOptions().timeout(std::chrono::seconds(60)));
    const TrainingRun run(group);
    torch::save(std::vector{run.after_few_steps, run.at_end, torch::tensor(run.loss)}, file_of(group.rank()));
    return;
  }
  std::string directory = std::filesystem::temp_directory_path() / "octet_ranks_XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  setenv(kDirectoryVariable, directory.c_str(), 1);
  const TrainingRun one_process(std::nullopt);
  EXPECT_LT(one_process.loss, 1);  // of targets with a variance of 8
  for (const int ranks : {2, 4}) {
    ASSERT_EQ(test::run_this_test_on_local_ranks(ranks), 0);
    std::vector<at::Tensor> of_rank_0;
    torch::load(of_rank_0, file_of(0));
    EXPECT_TRUE(torch::allclose(of_rank_0[0], one_process.after_few_steps, 0, 1e-3))
        << ranks << " ranks, at most " << (of_rank_0[0] - one_process.after_few_steps).abs().max().item<float>() << " apart";
    EXPECT_NEAR(of_rank_0[2].item<double>(), one_process.loss, 0.2 * one_process.loss);
    for (int rank = 1; rank < ranks; ++rank) {
      std::vector<at::Tensor> states;
      torch::load(states, file_of(rank));
      for (size_t i = 0; i < states.size(); ++i) EXPECT_TRUE(same_bits(states[i], of_rank_0[i])) << rank << " of " << ranks;
    }
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace octet::distributed
