#include <octet/observe/default_qconfigs.h>
#include <octet/observe/qconfig_mapping.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>

namespace octet {
namespace {

// What the mappings for static quantization and for training differ in.
struct Defaults {
  QConfig qconfig;
  ObserverFactory weight;
  ObserverFactory range_0to1;
  ObserverFactory range_neg1to1;
};

QConfigMapping mapping_for(std::string_view backend, const Defaults& defaults) {
  const auto& [qconfig, weight, range_0to1, range_neg1to1] = defaults;
  // The kernels of these backends take transposed convolutions with per-tensor weights only.
  const bool per_tensor_transposed = backend == "fbgemm" || backend == "x86";
  const QConfig transposed{qconfig.activation, per_tensor_transposed ? weight : qconfig.weight};
  return QConfigMapping()
      .set_global(qconfig)
      .set_object_type<torch::nn::ConvTranspose1d>(transposed)
      .set_object_type<torch::nn::ConvTranspose2d>(transposed)
      .set_object_type<torch::nn::ConvTranspose3d>(transposed)
      .set_object_type<torch::nn::LayerNorm>(QConfig{qconfig.activation, default_placeholder_observer})
      .set_object_type<torch::nn::PReLU>(default_quint8_weight_qconfig)
      .set_object_type(ModuleType("Hardsigmoid"), QConfig{range_0to1, weight})  // LibTorch has no class for it
      .set_object_type<torch::nn::Sigmoid>(QConfig{range_0to1, weight})
      .set_object_type<torch::nn::Softmax>(QConfig{range_0to1, weight})
      .set_object_type<torch::nn::Tanh>(QConfig{range_neg1to1, weight});
}

}  // namespace

QConfigMapping get_default_qconfig_mapping(std::string_view backend, int version) {
  return mapping_for(backend, {get_default_qconfig(backend, version), default_weight_observer,
                               default_fixed_qparams_range_0to1_observer, default_fixed_qparams_range_neg1to1_observer});
}

QConfigMapping get_default_qat_qconfig_mapping(std::string_view backend, int version) {
  return mapping_for(backend, {get_default_qat_qconfig(backend, version), default_weight_fake_quant,
                               default_fixed_qparams_range_0to1_fake_quant, default_fixed_qparams_range_neg1to1_fake_quant});
}

}  // namespace octet
