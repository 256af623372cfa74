#include <octet/nn/intrinsic_qat.h>
#include <octet/nn/qat.h>
#include <octet/observe/fake_quantize.h>
#include <octet/observe/qconfig_mapping.h>
#include <octet/tensor/error.h>

#include <ATen/ops/where.h>

#include <limits>

namespace octet::nn {
namespace {

std::vector<int64_t> along_outputs(const at::Tensor& weight) {
  std::vector<int64_t> sizes(weight.dim(), 1);
  sizes[0] = -1;
  return sizes;
}

ObserverBase& fake_quant_child(const torch::nn::Module& slot, const char* name) {
  return dynamic_cast<ObserverBase&>(*slot_child(slot, name));
}

void set_freeze_bn(torch::nn::Module& module, bool freeze) {
  const SlotBase* const slot = as_slot(module);
  const auto implementation = slot ? slot->implementation() : nullptr;
  if (auto* const freezable = dynamic_cast<detail::FreezableBatchNorm*>(implementation.get())) freezable->freeze_bn = freeze;
}

}  // namespace

namespace detail {

std::shared_ptr<torch::nn::Module> make_weight_fake_quant(const QConfig& qconfig, const at::Tensor& weight,
                                                          const std::string& path) {
  check(dynamic_cast<const FakeQuantizeBase*>(qconfig.weight.prototype()), path, ": the qconfig ", qconfig,
        " does not fake-quantize the weight, so training would not see what quantizing it does; use ",
        "get_default_qat_qconfig(\"x86\") or one like it");
  const QuantizationTarget& target = qconfig.weight.target();
  check(!is_per_channel(target.qscheme) || target.ch_axis == 0, path, ": got a weight fake quantization for channel axis ",
        target.ch_axis, ", expected 0, the output channels");
  const auto made = qconfig.weight();
  made->to(weight.device());
  return made;
}

at::Tensor fake_quantized_weight(const torch::nn::Module& slot, const at::Tensor& outputs_first) {
  return fake_quant_child(slot, kWeightFakeQuant).forward(outputs_first);
}

WithBatchNorm folded_and_fake_quantized(const torch::nn::Module& slot, const torch::nn::Module& norm, const at::Tensor& weight,
                                        const at::Tensor& bias, WeightLayout layout) {
  const auto parameters = BatchNormParameters::of(norm);
  const at::Tensor scale = parameters.scale();
  const at::Tensor first = layout.outputs_first(weight);
  return {layout.inputs_first(fake_quantized_weight(slot, first * scale.reshape(along_outputs(first)))),
          parameters.folded_bias(bias, scale)};
}

WithBatchNorm fake_quantized_for_batch_statistics(const torch::nn::Module& slot, const torch::nn::Module& norm,
                                                  const at::Tensor& weight, const at::Tensor& bias, WeightLayout layout) {
  const auto parameters = BatchNormParameters::of(norm);
  const at::Tensor own_scale = parameters.scale();
  const at::Tensor is_zero = own_scale.detach().abs() < std::numeric_limits<float>::min();
  const at::Tensor first = layout.outputs_first(weight);
  const at::Tensor scale = at::where(is_zero, parameters.inverse_deviation(), own_scale).reshape(along_outputs(first));
  return {layout.inputs_first(fake_quantized_weight(slot, first * scale) / scale), bias};
}

}  // namespace detail

namespace qat::dynamic {

std::shared_ptr<LinearImpl> LinearImpl::from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig,
                                                   const std::string& path) {
  check(dynamic_cast<const FakeQuantizeBase*>(qconfig.activation.prototype()) && qconfig.activation.is_dynamic(), path,
        ": the qconfig ", qconfig, " does not fake-quantize activations by the range of each batch, as dynamic quantization ",
        "does; use default_dynamic_qat_qconfig or one like it");
  const auto made = FakeQuantizedOf::from_float(module, qconfig, path);
  const auto input_fake_quant = qconfig.activation();
  input_fake_quant->to(module.weight.device());
  made->new_slot_children.emplace_back(kInputFakeQuant, input_fake_quant);
  return made;
}

at::Tensor LinearImpl::forward(torch::nn::Module& slot, const at::Tensor& input) {
  return FakeQuantizedOf::forward(slot, fake_quant_child(slot, kInputFakeQuant).forward(input));
}

}  // namespace qat::dynamic

namespace intrinsic::qat {

void freeze_bn_stats(torch::nn::Module& module) { set_freeze_bn(module, true); }
void update_bn_stats(torch::nn::Module& module) { set_freeze_bn(module, false); }

}  // namespace intrinsic::qat
}  // namespace octet::nn
