#include <octet/octet.h>

#include <gtest/gtest.h>

namespace octet {
namespace {

TEST(CloneModel, KeepsTheNamesAndTheModesOfContainers) {
  torch::nn::Sequential net;
  net->push_back("first", nn::Linear(2, 2));
  net->push_back("last", torch::nn::Dropout());
  net->eval();
  net->named_children()["last"]->train();
  const torch::nn::Sequential copy = clone_model(net);
  EXPECT_EQ(copy->named_children().keys(), (std::vector<std::string>{"first", "last"}));
  for (const auto& module : net->named_modules()) {
    EXPECT_EQ(copy->named_modules()[module.key()]->is_training(), module.key() == "last") << module.key();
  }
}

}  // namespace
}  // namespace octet
