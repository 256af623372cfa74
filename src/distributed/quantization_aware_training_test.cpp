#include <octet/distributed/distributed_data_parallel.h>
#include <octet/distributed/synchronize.h>
#include <octet/nn/modules.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/observe/fake_quantize.h>
#include <octet/workflow/convert.h>
#include <octet/workflow/fuse_modules.h>
#include <octet/workflow/prepare_qat.h>

#include <distributed/ranks_test_support.h>

#include <cstdlib>
#include <filesystem>

namespace octet::distributed {
namespace {

using test::on_ranks;
using test::rows_of;
using test::same_bits;
using Texts = std::vector<std::string>;

struct PerceptronImpl : octet::nn::Cloneable<PerceptronImpl> {
  PerceptronImpl() { reset(); }
  void reset() override {
    quant = register_module("quant", nn::QuantStub());
    fc1 = register_module("fc1", nn::Linear(8, 16));
    relu = register_module("relu", nn::ReLU());
    fc2 = register_module("fc2", nn::Linear(16, 4));
    dequant = register_module("dequant", nn::DeQuantStub());
  }
  at::Tensor forward(const at::Tensor& x) {
    return dequant->forward(fc2->forward(relu->forward(fc1->forward(quant->forward(x)))));
  }

  nn::QuantStub quant{nullptr};
  nn::Linear fc1{nullptr}, fc2{nullptr};
  nn::ReLU relu{nullptr};
  nn::DeQuantStub dequant{nullptr};
};
TORCH_MODULE(Perceptron);

/// All parameters and buffers behind each other.
at::Tensor state_of(const torch::nn::Module& model) {
  std::vector<at::Tensor> parts;
  for (const auto& tensor : model.parameters()) parts.push_back(tensor.detach().view(-1));
  for (const auto& tensor : model.buffers()) parts.push_back(tensor.view(-1).to(torch::kFloat));
  return torch::cat(parts);
}

/// A training run with all rows of each batch, or with those of a rank.
struct TrainingRun {
  at::Tensor after_few_steps;  ///< the state, with observers off
  at::Tensor at_end;           ///< the state after many, in the last of which observers are on, and synchronized
  double loss = 0;             ///< at the end

  explicit TrainingRun(const std::optional<ProcessGroup>& group) {
    torch::manual_seed(group ? 100 + group->rank() : 100);  // ranks begin with other weights, but get those of rank 0
    Perceptron model;
    fuse_modules_qat(*model, {{"fc1", "relu"}});
    prepare_qat(*model, QConfig{FakeQuantize::with_args(MinMaxObserver::with_args()),
                                FakeQuantize::with_args(default_per_channel_weight_observer)});
    std::optional<DistributedDataParallel<PerceptronImpl>> parallel;
    if (group) parallel.emplace(model, *group);
    torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));
    torch::manual_seed(5);
    const at::Tensor teacher = torch::randn({8, 4});
    const auto inputs = [&] {
      const at::Tensor batch = torch::randn({32, 8});
      return group ? rows_of(batch, *group) : batch;
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
    model->apply(disable_observer);
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

struct ConvNetImpl : octet::nn::Cloneable<ConvNetImpl> {
  ConvNetImpl() { reset(); }
  void reset() override {
    quant = register_module("quant", nn::QuantStub());
    conv = register_module("conv", nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3).bias(false)));
    bn = register_module("bn", nn::BatchNorm2d(8));
    relu = register_module("relu", nn::ReLU());
    fc = register_module("fc", nn::Linear(8, 4));
    dequant = register_module("dequant", nn::DeQuantStub());
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor features = relu->forward(bn->forward(conv->forward(quant->forward(x))));
    return dequant->forward(fc->forward(features.mean({2, 3})));
  }

  nn::QuantStub quant{nullptr};
  nn::Conv2d conv{nullptr};
  nn::BatchNorm2d bn{nullptr};
  nn::ReLU relu{nullptr};
  nn::Linear fc{nullptr};
  nn::DeQuantStub dequant{nullptr};
};
TORCH_MODULE(ConvNet);

TEST(QuantizationAwareTraining, GivesAllRanksTheSameQuantizedNetworkWithBatchNormAndMovingAverages) {
  ConvNet origin;
  fuse_modules_qat(*origin, {{"conv", "bn", "relu"}});
  prepare_qat(*origin, get_default_qat_qconfig("octet"));
  std::vector<at::Tensor> batches;
  for (int i = 0; i < 4; ++i) batches.push_back(torch::randn({8, 3, 6, 6}));
  std::vector<at::Tensor> results(2);
  const Texts errors = on_ranks(2, [&](const ProcessGroup& group) {
    ConvNet model = clone_model(origin);
    DistributedDataParallel parallel(model, group);
    torch::optim::SGD optimizer(model->parameters(), 0.1);
    for (const auto& batch : batches) {
      optimizer.zero_grad();
      parallel.forward(rows_of(batch, group)).pow(2).mean().backward();
      optimizer.step();
    }
    sync_observers(*model, group);
    broadcast_state(*model, group);  // the batch norm's statistics
    model->eval();
    convert(*model);
    results[group.rank()] = model->forward(batches.front());
  });
  EXPECT_EQ(errors, Texts(2));
  EXPECT_TRUE(same_bits(results[0], results[1]));
  EXPECT_GT(results[0].std().item<float>(), 0);
}

}  // namespace
}  // namespace octet::distributed
