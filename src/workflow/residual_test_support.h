// A small network with all that a residual one has, and its state as Python's oracle gives it.
#pragma once

#include <octet/octet.h>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>
#include <string>

namespace octet::test {

/// The network of residual_network.py.
struct ResidualImpl : torch::nn::Cloneable<ResidualImpl> {
  nn::QuantStub quant{nullptr};
  nn::DeQuantStub dequant{nullptr};
  nn::Conv2d conv1{nullptr}, conv2{nullptr}, conv3{nullptr}, conv4{nullptr};
  nn::BatchNorm2d bn1{nullptr}, bn2{nullptr};
  nn::ReLU relu1{nullptr}, relu3{nullptr}, relu4{nullptr};
  nn::Linear fc{nullptr}, out{nullptr};
  nn::FloatFunctional skip_add{nullptr}, join{nullptr};

  ResidualImpl() { reset(); }
  void reset() override {
    quant = register_module("quant", nn::QuantStub());
    dequant = register_module("dequant", nn::DeQuantStub());
    conv1 = register_module("conv1", nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3).padding(1).bias(false)));
    bn1 = register_module("bn1", nn::BatchNorm2d(8));
    relu1 = register_module("relu1", nn::ReLU());
    conv2 = register_module("conv2", nn::Conv2d(torch::nn::Conv2dOptions(8, 8, 3).padding(1).groups(8)));
    bn2 = register_module("bn2", nn::BatchNorm2d(8));
    conv3 = register_module("conv3", nn::Conv2d(torch::nn::Conv2dOptions(8, 12, 1).stride(2)));
    relu3 = register_module("relu3", nn::ReLU());
    conv4 = register_module("conv4", nn::Conv2d(torch::nn::Conv2dOptions(8, 4, 3).stride(2).padding(1)));
    fc = register_module("fc", nn::Linear(16, 10));
    relu4 = register_module("relu4", nn::ReLU());
    out = register_module("out", nn::Linear(10, 5));
    skip_add = register_module("skip_add", nn::FloatFunctional());
    join = register_module("join", nn::FloatFunctional());
  }

  /// All that comes before the pooling.
  at::Tensor features(at::Tensor x) {
    x = relu1->forward(bn1->forward(conv1->forward(quant->forward(x))));
    x = skip_add->add_relu(x, bn2->forward(conv2->forward(x)));
    return join->cat({relu3->forward(conv3->forward(x)), conv4->forward(x)}, 1);
  }

  at::Tensor forward(at::Tensor x) {
    x = torch::flatten(torch::adaptive_avg_pool2d(features(x), {1, 1}), 1);
    return dequant->forward(out->forward(relu4->forward(fc->forward(x))));
  }
};
TORCH_MODULE(Residual);

inline const ModulesToFuse kGroups{{"conv1", "bn1", "relu1"}, {"conv2", "bn2"}, {"conv3", "relu3"}, {"fc", "relu4"}};

/// The tensors of an oracle's case whose keys begin with "<kind>/", by the rest of the key.
inline std::map<std::string, at::Tensor> tensors_of(const c10::Dict<c10::IValue, c10::IValue>& oracle, const std::string& kind) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& entry : oracle) {
    const std::string& key = entry.key().toStringRef();
    if (key.starts_with(kind + "/")) tensors[key.substr(kind.size() + 1)] = entry.value().toTensor();
  }
  return tensors;
}

/// Copies tensors into the parameters and buffers of these names.
inline void set_state(torch::nn::Module& model, const std::map<std::string, at::Tensor>& state) {
  const torch::NoGradGuard no_grad;
  const auto parameters = model.named_parameters(), buffers = model.named_buffers();
  for (const auto& [key, value] : state) {
    const at::Tensor* const target = parameters.contains(key) ? parameters.find(key) : buffers.find(key);
    ASSERT_NE(target, nullptr) << key;
    at::Tensor(*target).copy_(value);
  }
}

}  // namespace octet::test
