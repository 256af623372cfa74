// Convolutional networks on random images, one at a time or eight, and on a random video. The weights are random too, but the
// batch norms have the statistics of real activations, so that the ranges stay sane: what takes the time is what takes it in a
// trained network. SQNR of a random network compares implementations; it is no statement about accuracy.

#include "cases.h"
#include "measures.h"
#include "networks.h"

#include <octet/models/mobilenet_v2.h>
#include <octet/models/resnet.h>
#include <octet/octet.h>

namespace bench {
namespace {

/// Of images or videos, without the batch.
using Sizes = std::vector<int64_t>;

std::vector<at::Tensor> random_images(int64_t count, int64_t batch, Sizes sizes) {
  sizes.insert(sizes.begin(), batch);
  std::vector<at::Tensor> images;
  for (int64_t i = 0; i < count; ++i) images.push_back(torch::randn(sizes));
  return images;
}

/// Calls visit(module) for all modules of one class.
template <class Module, class Visit>
void for_each(torch::nn::Module& model, const Visit& visit) {
  for (const auto& module : model.modules(/*include_self=*/false)) {
    if (auto* const found = dynamic_cast<Module*>(module.get())) visit(*found);
  }
}

/// Lets the batch norms average the statistics of some images.
template <class Net>
void settle_batch_norms(Net& net, const std::vector<at::Tensor>& images) {
  const auto reset = [](auto& norm) {
    norm.reset_running_stats();
    norm.options.momentum(std::nullopt);
  };
  for_each<torch::nn::BatchNorm2dImpl>(*net, reset);
  for_each<torch::nn::BatchNorm3dImpl>(*net, reset);
  net->train();
  for (const at::Tensor& batch : images) net->forward(batch);
  net->eval();
}

at::Tensor channels_last(const at::Tensor& tensor) {
  return tensor.contiguous(tensor.dim() == 5 ? at::MemoryFormat::ChannelsLast3d : at::MemoryFormat::ChannelsLast);
}

/// The weights of all convolutions.
void to_channels_last(torch::nn::Module& model) {
  for (at::Tensor& parameter : model.parameters()) {
    if (parameter.dim() >= 4) parameter.set_data(channels_last(parameter));
  }
}

template <class Net>
Net quantized(const Net& fused, const std::vector<at::Tensor>& calibration) {
  Net net = octet::prepare(fused, octet::get_default_qconfig("octet"));
  for (const at::Tensor& batch : calibration) net->forward(batch);
  octet::convert(*net);
  return net;
}

template <class Net>
std::vector<Implementation> build(Net net, int64_t batch, const Sizes& sizes) {
  const torch::NoGradGuard no_grad;
  for_each<torch::nn::LinearImpl>(*net, [](torch::nn::LinearImpl& linear) { linear.reset_parameters(); });
  const at::Tensor x = random_images(1, batch, sizes)[0];
  const auto calibration = random_images(batch == 1 ? 8 : 2, batch, sizes);
  settle_batch_norms(net, random_images(2, 4, sizes));

  Net fused = octet::fuse_all(net, x);
  const Net int8 = quantized(fused, calibration);
  to_channels_last(*fused);

  std::vector<Implementation> all;
  const at::Tensor reference = net->forward(x);
  const Work work = count_work(*net, [&] { net->forward(x); });
  const auto add = [&](const char* name, Net model, const at::Tensor& input, double bytes_per_weight) {
    const auto run = [model, input] {
      const torch::NoGradGuard no_grad;
      return Net(model)->forward(input);  // a holder that is const gives a module that is
    };
    all.push_back({name, run, sqnr_db(reference, run()), saved_bytes(*model), work, bytes_per_weight, model.ptr()});
  };
  add("octet_fp32", net, x, 4);
  add("octet_fp32_fused_cl", fused, channels_last(x), 4);
  add("octet_int8", int8, x, 1);
  return all;
}

template <class Make>
Case network_case(std::string name, const Make& make, int64_t batch, const Sizes& sizes = {3, 224, 224}) {
  return {std::move(name), [make, batch, sizes] {
            torch::manual_seed(1);
            return build(make(), batch, sizes);
          }};
}

}  // namespace

Suite cnn_suite() {
  const auto resnet18 = [] { return octet::models::resnet18(); };
  const auto resnet34 = [] { return octet::models::ResNet(octet::models::ResNetOptions().layers({3, 4, 6, 3})); };
  const auto resnet50 = [] { return octet::models::resnet50(); };
  const auto mobilenet_v2 = [] { return octet::models::MobileNetV2(); };
  const auto efficientnet_lite0 = [] { return EfficientNetLite0(); };
  const auto unet = [] { return UNet(); };
  const auto r3d18 = [] { return R3d18(); };
  return {"cnn",
          {network_case("resnet18_b1", resnet18, 1), network_case("resnet18_b8", resnet18, 8),
           network_case("resnet34_b1", resnet34, 1), network_case("resnet50_b1", resnet50, 1),
           network_case("mobilenetv2_b1", mobilenet_v2, 1), network_case("efficientnet_lite0_b1", efficientnet_lite0, 1),
           network_case("unet_b1", unet, 1, {3, 256, 256}), network_case("r3d18_b1", r3d18, 1, {3, 8, 112, 112})}};
}

}  // namespace bench
