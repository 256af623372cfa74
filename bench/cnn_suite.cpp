// ResNet-18, ResNet-50 and MobileNetV2 on random images, one at a time or eight. The weights are random too, but the batch
// norms have the statistics of real activations, so that the ranges stay sane: what takes the time is what takes it in a
// trained network. SQNR of a random network compares implementations; it is no statement about accuracy.

#include "cases.h"
#include "measures.h"

#include <octet/models/mobilenet_v2.h>
#include <octet/models/resnet.h>
#include <octet/octet.h>

namespace bench {
namespace {

namespace nn = octet::nn;

std::vector<at::Tensor> random_images(int64_t count, int64_t batch) {
  std::vector<at::Tensor> images;
  for (int64_t i = 0; i < count; ++i) images.push_back(torch::randn({batch, 3, 224, 224}));
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
  for_each<torch::nn::BatchNorm2dImpl>(*net, [](torch::nn::BatchNorm2dImpl& norm) {
    norm.reset_running_stats();
    norm.options.momentum(std::nullopt);
  });
  net->train();
  for (const at::Tensor& batch : images) net->forward(batch);
  net->eval();
}

void to_channels_last(torch::nn::Module& model) {
  for_each<torch::nn::Conv2dImpl>(model, [](torch::nn::Conv2dImpl& conv) {
    conv.weight.set_data(conv.weight.contiguous(at::MemoryFormat::ChannelsLast));
  });
}

template <class Net>
Net quantized(const Net& fused, const std::vector<at::Tensor>& calibration) {
  Net net = octet::prepare(fused, octet::get_default_qconfig("octet"));
  for (const at::Tensor& batch : calibration) net->forward(batch);
  octet::convert(*net);
  return net;
}

template <class Net>
std::vector<Implementation> build(Net net, int64_t batch) {
  const torch::NoGradGuard no_grad;
  for_each<torch::nn::LinearImpl>(*net, [](torch::nn::LinearImpl& linear) { linear.reset_parameters(); });
  const at::Tensor x = random_images(1, batch)[0];
  const auto calibration = random_images(batch == 1 ? 8 : 2, batch);
  settle_batch_norms(net, random_images(2, 4));

  Net fused = octet::clone_model(net);
  fused->fuse_model();
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
  add("octet_fp32_fused_cl", fused, x.contiguous(at::MemoryFormat::ChannelsLast), 4);
  add("octet_int8", int8, x, 1);
  return all;
}

template <class Make>
Case network_case(std::string name, const Make& make, int64_t batch) {
  return {std::move(name), [make, batch] {
            torch::manual_seed(1);
            return build(make(), batch);
          }};
}

}  // namespace

Suite cnn_suite() {
  const auto resnet18 = [] { return octet::models::resnet18(); };
  const auto resnet50 = [] { return octet::models::resnet50(); };
  const auto mobilenet_v2 = [] { return octet::models::MobileNetV2(); };
  return {"cnn",
          {network_case("resnet18_b1", resnet18, 1), network_case("resnet18_b8", resnet18, 8),
           network_case("resnet50_b1", resnet50, 1), network_case("mobilenetv2_b1", mobilenet_v2, 1)}};
}

}  // namespace bench
