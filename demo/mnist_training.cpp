#include "mnist_training.h"

#include "progress_bar.h"
#include "result_table.h"

#include <octet/distributed/distributed_data_parallel.h>
#include <octet/distributed/synchronize.h>

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace demo {
namespace {

constexpr int64_t kBatch = 64;
constexpr uint64_t kSeed = 0;

/// What the rate is multiplied by.
double schedule(double progress) { return std::min(1.0, 5 * progress) * 0.5 * (1 + std::cos(std::numbers::pi * progress)); }

/// The images moved by up to two pixels, all alike: more to learn from than there is.
torch::Tensor shifted(const torch::Tensor& images) {
  const torch::Tensor offsets = torch::randint(0, 5, {2});
  const auto x = offsets[0].item<int64_t>(), y = offsets[1].item<int64_t>();
  return torch::constant_pad_nd(images, {2, 2, 2, 2}).slice(2, y, y + 28).slice(3, x, x + 28);
}

/// Without letting observers see the digits.
double accuracy(MnistNet net, const Digits& digits) {
  const torch::NoGradGuard no_grad;
  net->eval();
  net->apply(octet::disable_observer);
  const torch::Tensor scores = net->forward(digits.images);
  return scores.argmax(1).eq(digits.labels).to(torch::kFloat64).mean().item<double>();
}

}  // namespace

std::vector<LearningPoint> train(MnistNet net, const DigitSplit& digits, const Training& training, const Group& group) {
  torch::manual_seed(kSeed);
  const Digits& from = digits.train;
  const int64_t rank = group ? group->rank() : 0, ranks = group ? group->size() : 1;
  torch::optim::Adam optimizer(net->parameters());
  std::optional<octet::distributed::DistributedDataParallel<MnistNetImpl>> parallel;
  if (group) parallel.emplace(net, *group);
  const auto forward = [&](const torch::Tensor& images) { return parallel ? parallel->forward(images) : net->forward(images); };

  const int64_t batches = from.labels.numel() / kBatch, steps = training.epochs * batches;
  std::optional<ProgressBar> bar;
  if (rank == 0) bar.emplace(fmt::format("training {}, {} epochs", training.name, training.epochs), steps);
  std::vector<LearningPoint> curve;
  for (int64_t epoch = 0; epoch < training.epochs; ++epoch) {
    net->train();
    training.begin_epoch(net, epoch);
    const torch::Tensor order = torch::randperm(from.labels.numel());
    double loss_sum = 0;
    for (int64_t i = 0; i < batches; ++i) {
      const torch::Tensor batch = order.slice(0, i * kBatch, (i + 1) * kBatch);
      const torch::Tensor part = batch.slice(0, rank * kBatch / ranks, (rank + 1) * kBatch / ranks);
      const double progress = static_cast<double>(epoch * batches + i) / static_cast<double>(steps);
      optimizer.param_groups()[0].options().set_lr(training.highest_rate * schedule(progress));
      optimizer.zero_grad();
      const torch::Tensor logits = forward(shifted(from.images.index_select(0, part)));
      const torch::Tensor loss = torch::nn::functional::cross_entropy(logits, from.labels.index_select(0, part));
      loss.backward();
      optimizer.step();
      loss_sum += loss.item<double>();
      if (bar) bar->advance();
    }
    if (group) octet::distributed::sync_observers(*net, *group);
    curve.push_back({loss_sum / static_cast<double>(batches), rank == 0 ? accuracy(net, digits.test) : 0});
  }
  if (group) octet::distributed::broadcast_state(*net, *group);
  net->eval();
  return curve;
}

std::string format_curves(const std::vector<std::pair<std::string, std::vector<LearningPoint>>>& curves) {
  size_t epochs = 0;
  for (const auto& [name, curve] : curves) epochs = std::max(epochs, curve.size());
  std::vector<std::string> title{"loss, accuracy"};
  for (size_t epoch = 1; epoch <= epochs; ++epoch) title.push_back(fmt::format("epoch {}", epoch));
  std::vector<std::vector<std::string>> lines{title};
  for (const auto& [name, curve] : curves) {
    std::vector<std::string> line{name};
    for (const LearningPoint& point : curve) line.push_back(fmt::format("{:.3f} {:.3f}", point.loss, point.accuracy));
    line.resize(epochs + 1);
    lines.push_back(line);
  }
  return align(lines);
}

}  // namespace demo
