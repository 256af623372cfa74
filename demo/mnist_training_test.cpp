#include "mnist_training.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace demo {
namespace {

TEST(Training, LearnsAndDoesSoAlwaysAlike) {
  // Two classes that differ by the half of the image which is bright.
  Digits digits{torch::zeros({64, 1, 28, 28}), torch::arange(64) % 2};
  digits.images.slice(0, 0, 64, 2).slice(2, 0, 14).fill_(1);
  digits.images.slice(0, 1, 64, 2).slice(2, 14).fill_(1);
  const auto learn = [&] {
    torch::manual_seed(1);
    MnistNet net;
    const auto curve = train(net, {digits, digits}, kFloatTraining);
    EXPECT_EQ(curve.size(), static_cast<size_t>(kFloatTraining.epochs));
    EXPECT_LT(curve.back().loss, curve.front().loss);
    EXPECT_EQ(curve.back().accuracy, 1);
    return net;
  };
  MnistNet net = learn(), again = learn();
  EXPECT_FALSE(net->is_training());
  const torch::NoGradGuard no_grad;
  const torch::Tensor scores = net->forward(digits.images);
  EXPECT_EQ(scores.sizes(), torch::IntArrayRef({64, 10}));
  EXPECT_TRUE(scores.equal(again->forward(digits.images)));
  EXPECT_TRUE(scores.slice(1, 0, 2).argmax(1).equal(digits.labels));
}

TEST(FormatCurves, HasALineForEachTrainingAndAColumnForEachEpoch) {
  EXPECT_EQ(format_curves({{"fp32", {{0.5, 0.25}, {0.25, 0.5}}}, {"qat", {{0.125, 1}}}}),
            "loss, accuracy      epoch 1      epoch 2\n"
            "fp32            0.500 0.250  0.250 0.500\n"
            "qat             0.125 1.000\n");
}

}  // namespace
}  // namespace demo
