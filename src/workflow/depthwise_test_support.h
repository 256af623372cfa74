// A network that one scale for a whole weight serves badly, for the tests of what helps.
#pragma once

#include <octet/octet.h>

#include <support/errors.h>
#include <torch/torch.h>

#include <string>
#include <vector>

namespace octet::test {

/// Convolutions, the second one depthwise; its channels have ranges that differ by a factor of 200.
struct DepthwiseImpl : torch::nn::Cloneable<DepthwiseImpl> {
  nn::QuantStub quant{nullptr};
  nn::DeQuantStub dequant{nullptr};
  nn::Conv2d conv{nullptr}, depthwise{nullptr}, pointwise{nullptr};
  nn::ReLU relu1{nullptr}, relu2{nullptr};
  nn::Linear fc{nullptr};

  DepthwiseImpl() { reset(); }
  void reset() override {
    using torch::nn::Conv2dOptions;
    quant = register_module("quant", nn::QuantStub());
    conv = register_module("conv", nn::Conv2d(Conv2dOptions(3, 16, 3).padding(1)));
    relu1 = register_module("relu1", nn::ReLU());
    depthwise = register_module("depthwise", nn::Conv2d(Conv2dOptions(16, 16, 3).padding(1).groups(16)));
    relu2 = register_module("relu2", nn::ReLU());
    pointwise = register_module("pointwise", nn::Conv2d(Conv2dOptions(16, 12, 1).bias(false)));
    fc = register_module("fc", nn::Linear(12, 10));
    dequant = register_module("dequant", nn::DeQuantStub());
  }
  at::Tensor forward(at::Tensor x) {
    x = relu1->forward(conv->forward(quant->forward(x)));
    x = pointwise->forward(relu2->forward(depthwise->forward(x)));
    return dequant->forward(fc->forward(x.mean({2, 3})));
  }
};
TORCH_MODULE(Depthwise);

/// In eval mode, its activations fused.
inline Depthwise make_depthwise() {
  torch::manual_seed(5);
  Depthwise net;
  net->eval();
  const torch::NoGradGuard no_grad;
  const at::Tensor scale = at::logspace(-1.15, 1.15, 16);
  net->depthwise->weight.mul_(scale.view({-1, 1, 1, 1}));
  net->depthwise->bias.mul_(scale);
  net->pointwise->weight.div_(scale.view({1, -1, 1, 1}));
  fuse_modules(*net, {{"conv", "relu1"}, {"depthwise", "relu2"}});
  return net;
}

/// Images whose pixels are no noise around 0, as real ones.
inline at::Tensor images(int64_t count, uint64_t seed) {
  torch::manual_seed(seed);
  return at::randn({count, 3, 8, 8}).abs_().add_(at::randn({count, 3, 1, 1}));
}

/// 8-bit activations, one scale for each weight.
inline const QConfig per_tensor_qconfig{MinMaxObserver::with_args(), default_weight_observer};

/// Prepared and calibrated on these images.
inline Depthwise calibrated(const Depthwise& net, const at::Tensor& x, const QConfig& qconfig = per_tensor_qconfig) {
  Depthwise prepared = prepare(net, qconfig);
  const torch::NoGradGuard no_grad;
  prepared->forward(x);
  return prepared;
}

/// How well the converted model computes what the float one does, on images that it was not calibrated on.
inline double converted_sqnr_db(const Depthwise& float_net, const Depthwise& prepared) {
  const torch::NoGradGuard no_grad;
  const at::Tensor x = images(64, 99);
  return sqnr_db(Depthwise(float_net)->forward(x), Depthwise(convert(prepared))->forward(x));
}

/// All parameters and buffers, to see that nothing has changed.
inline std::vector<at::Tensor> all_tensors(const torch::nn::Module& model) {
  std::vector<at::Tensor> tensors;
  for (const auto& list : {model.parameters(), model.buffers()}) {
    for (const at::Tensor& tensor : list) tensors.push_back(tensor.detach().clone());
  }
  return tensors;
}

inline bool all_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const at::Tensor& x, const at::Tensor& y) { return x.equal(y); });
}

}  // namespace octet::test
