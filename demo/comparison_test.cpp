#include "comparison.h"

#include <octet/octet.h>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

namespace demo {
namespace {

TEST(Sqnr, IsTheRatioOfTheSumsOverAllTensorsInDecibels) {
  Sqnr sqnr;
  sqnr.add(torch::tensor({3.0f, 4.0f}), torch::tensor({3.0f, 4.0f}));
  EXPECT_TRUE(std::isinf(sqnr.db()));
  // Signal 25 + 75, noise 1.
  sqnr.add(torch::tensor({5.0f, 7.0f, 1.0f}), torch::tensor({5.0f, 6.0f, 1.0f}));
  EXPECT_DOUBLE_EQ(sqnr.db(), 20);
}

TEST(Sqnr, TakesQuantizedTensorsForWhatTheyStandFor) {
  Sqnr sqnr;
  sqnr.add(torch::tensor({10.0f}), octet::quantize_per_tensor(torch::tensor({10.0f}), 3, 0, octet::quint8));  // 9
  EXPECT_DOUBLE_EQ(sqnr.db(), 20);
}

TEST(Agreement, LooksForTheFirstClassOfTheReferenceAmongTheFirstFive) {
  const torch::Tensor reference = torch::tensor({{0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 9.0f}});
  Agreement agreement;
  agreement.add(reference, reference);
  agreement.add(reference, torch::tensor({{6.0f, 5.0f, 4.0f, 3.0f, 1.0f, 0.0f, 2.0f}}));  // fifth
  agreement.add(reference, torch::tensor({{6.0f, 5.0f, 4.0f, 3.0f, 2.0f, 0.0f, 1.0f}}));  // sixth
  agreement.add(reference, torch::tensor({{6.0f, 5.0f, 4.0f, 3.0f, 2.0f, 1.0f, 0.0f}}));
  EXPECT_DOUBLE_EQ(agreement.top1(), 0.25);
  EXPECT_DOUBLE_EQ(agreement.top5(), 0.5);
}

TEST(Agreement, TakesFewerThanFiveClasses) {
  Agreement agreement;
  agreement.add(torch::tensor({{1.0f, 0.0f}}), torch::tensor({{0.0f, 1.0f}}));
  EXPECT_DOUBLE_EQ(agreement.top1(), 0);
  EXPECT_DOUBLE_EQ(agreement.top5(), 1);
}

TEST(LayerSqnr, ComparesTheOutputsOfEachSlotOnceAndTakesItsHooksOutAgain) {
  const torch::NoGradGuard no_grad;
  octet::nn::Sequential reference(octet::nn::Linear(1, 1), octet::nn::ReLU(), octet::nn::Linear(1, 1));
  for (auto& parameter : reference->parameters()) parameter.fill_(1);
  auto other = octet::clone_model(reference);
  other->parameters()[2].fill_(2);  // the weight of the second Linear
  const torch::Tensor input = torch::tensor({{9.0f}});
  const auto run = [&] {
    reference->forward(input);
    other->forward(input);
  };
  const auto layers = layer_sqnr(*reference, *other, run);
  ASSERT_EQ(layers.size(), 3u);
  EXPECT_EQ(layers[0].path, "0");
  EXPECT_EQ(layers[0].type, "Linear");
  EXPECT_EQ(layers[1].type, "ReLU");
  EXPECT_TRUE(std::isinf(layers[0].db));
  EXPECT_TRUE(std::isinf(layers[1].db));
  EXPECT_DOUBLE_EQ(layers[2].db, 10 * std::log10(11.0 * 11.0 / 100.0));  // 11 and 21
  for (const auto& module : reference->children()) EXPECT_TRUE(module->children().empty()) << "a hook is left";
}

TEST(LayerSqnr, LeavesOutWhatBecamePartOfAnotherModule) {
  const torch::NoGradGuard no_grad;
  octet::nn::Sequential net(octet::nn::Conv2d(1, 1, 1), octet::nn::BatchNorm2d(1), octet::nn::ReLU());
  net->eval();
  octet::fuse_modules(*net, {"0", "1", "2"});
  const auto layers = layer_sqnr(*net, *net, [&] { net->forward(torch::ones({1, 1, 2, 2})); });
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_EQ(layers[0].path, "0");
  EXPECT_EQ(layers[0].type, "ConvReLU2d");
}

}  // namespace
}  // namespace demo
