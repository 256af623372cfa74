#include "mnist_network.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace demo {
namespace {

TEST(TrainMnist, LearnsAndDoesSoAlwaysAlike) {
  // Two classes that differ by the half of the image which is bright.
  Digits digits{torch::zeros({64, 1, 28, 28}), torch::arange(64) % 2};
  digits.images.slice(0, 0, 64, 2).slice(2, 0, 14).fill_(1);
  digits.images.slice(0, 1, 64, 2).slice(2, 14).fill_(1);
  MnistNet net = train_mnist(digits), again = train_mnist(digits);
  EXPECT_FALSE(net->is_training());
  const torch::NoGradGuard no_grad;
  const torch::Tensor scores = net->forward(digits.images);
  EXPECT_EQ(scores.sizes(), torch::IntArrayRef({64, 10}));
  EXPECT_TRUE(scores.equal(again->forward(digits.images)));
  EXPECT_TRUE(scores.slice(1, 0, 2).argmax(1).equal(digits.labels));
}

}  // namespace
}  // namespace demo
