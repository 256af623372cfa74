#include <octet/nn/modules.h>
#include <octet/nn/unary_module.h>

#include <gtest/gtest.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/any.h>
#include <torch/nn/modules/container/sequential.h>

#include <functional>
#include <memory>
#include <string>

namespace octet::nn {
namespace {

struct DoubleImpl : UnaryModule<torch::nn::Cloneable<DoubleImpl>> {
  void reset() override {}
  at::Tensor forward(const at::Tensor& x) { return x + x; }
};
TORCH_MODULE(Double);

TEST(UnaryModule, IsCalledBySequentialsAndTheirClones) {
  torch::nn::Sequential model{Double(), ReLU(), Double()};
  const at::Tensor x = torch::tensor({-1.0f, 3.0f});
  EXPECT_TRUE(model->forward(x).equal(torch::tensor({0.0f, 12.0f})));
  const auto clone = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(model->clone());
  EXPECT_TRUE(clone->forward(x).equal(torch::tensor({0.0f, 12.0f})));
}

TEST(UnaryModule, TakesNeitherFewerNorMoreArgumentsThanOne) {
  const at::Tensor x = torch::ones(1);
  torch::nn::AnyModule block{Double()}, slot{ReLU()};
  for (torch::nn::AnyModule* module : {&block, &slot}) {
    for (const auto& call : {std::function([&] { module->any_forward(); }), std::function([&] { module->any_forward(x, x); })}) {
      try {
        call();
        ADD_FAILURE() << "no error";
      } catch (const c10::Error& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find("expects at least 1 argument(s) and at most 1 argument(s), but received"), std::string::npos) << text;
      }
    }
  }
}

}  // namespace
}  // namespace octet::nn
