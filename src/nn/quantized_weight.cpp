#include <octet/tensor/error.h>
#include <octet/tensor/qparams.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <nn/quantized_weight.h>

#include <ATen/ops/clamp.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace octet::nn {
namespace {

template <class T>
std::vector<T> to_vector(const at::Tensor& values) {
  const at::Tensor plain = values.to(c10::CppTypeToScalarType<T>::value).contiguous();
  const T* const data = plain.const_data_ptr<T>();
  return {data, data + plain.numel()};
}

QuantizedWeight make(at::Tensor integers, const at::Tensor& scale, const at::Tensor& zero_point) {
  QuantizedWeight weight{std::move(integers), to_vector<float>(scale), to_vector<int32_t>(zero_point)};
  if (std::all_of(weight.zero_point.begin(), weight.zero_point.end(), [](int32_t zero) { return zero == 0; })) {
    weight.zero_point.clear();
  }
  return weight;
}

}  // namespace

void check_float_weight(const at::Tensor& weight, const at::Tensor& bias, int64_t channels, const std::string& where) {
  check(weight.defined() && weight.is_floating_point(), where, ": got ",
        weight.defined() ? c10::str("a ", weight.scalar_type(), " tensor") : "no tensor", ", expected floating point weights");
  check(weight.device().is_cpu(), where, ": got a weight on ", weight.device(),
        ", but the int8 engine runs on the CPU; move the model there with to(torch::kCPU) first");
  check(at::isfinite(weight).all().item<bool>(), where, ": the weight holds NaN or infinite values, which have no place on an ",
        "integer scale; mend the model first");
  check(!bias.defined() || (bias.dim() == 1 && bias.size(0) == channels && bias.is_floating_point()), where,
        ": got a bias of shape ", bias.defined() ? bias.sizes() : at::IntArrayRef(), ", expected [", channels, "]");
}

at::Tensor quantize_as_observed(const at::Tensor& values, const WeightObserver& observer, const std::string& where) {
  const auto [scale, zero_point] = observer.qparams_for(values, where);
  const QuantizationTarget& target = observer.target();
  const int64_t axis = target.ch_axis < 0 ? target.ch_axis + values.dim() : target.ch_axis;
  at::Tensor quantized = is_per_channel(target.qscheme) ? quantize_per_channel(values, scale, zero_point, axis, target.dtype)
                                                        : quantize_per_tensor(values, scale, zero_point, target.dtype);
  octet::int_repr(quantized).clamp_(target.quant_min, target.quant_max);
  return quantized;
}

QuantizedWeight quantize_weight(const at::Tensor& weight, const WeightObserver& observer, const std::string& where) {
  check(static_cast<bool>(observer), where, ": the qconfig observes no weight; use get_default_qconfig(\"x86\"), ",
        "default_dynamic_qconfig or one like them");
  const QuantizationTarget& target = observer.target();
  check(target.dtype == qint8, where, ": got a weight observer of dtype ", target.dtype, ", expected qint8");
  check(!is_per_channel(target.qscheme) || target.ch_axis == 0, where, ": got a weight observer for channel axis ",
        target.ch_axis, ", expected 0, the output channels");
  const at::Tensor quantized = quantize_as_observed(weight.detach().to(at::kFloat).contiguous(), observer, where);
  const Quantizer& own = quantizer(quantized);
  return own.is_per_channel() ? make(octet::int_repr(quantized), own.scales, own.zero_points)
                              : make(octet::int_repr(quantized), at::tensor({own.scale}), at::tensor({own.zero_point}));
}

QuantizedWeight quantized_weight_from(const at::Tensor& integers, int64_t channels, const StateDict& state,
                                      const std::string& name, const std::string& where) {
  const auto qparams = [&](const char* suffix, at::ScalarType dtype) {
    const at::Tensor* const found = state.find(name + suffix);
    check(found != nullptr, where, ": the tensor \"", name, suffix, "\" is missing");
    check(found->scalar_type() == dtype && found->dim() == 1 && (found->numel() == 1 || found->numel() == channels), where,
          ": \"", name, suffix, "\" is a ", found->scalar_type(), " tensor of shape ", found->sizes(), ", expected ", dtype,
          " of shape [1] or [", channels, "]");
    return *found;
  };
  const at::Tensor scale = qparams("_scale", at::kFloat), zero_point = qparams("_zero_point", at::kInt);
  check(scale.numel() == zero_point.numel(), where, ": \"", name, "_scale\" has ", scale.numel(), " elements, \"", name,
        "_zero_point\" ", zero_point.numel());
  check((scale > 0).logical_and(at::isfinite(scale)).all().item<bool>(), where, ": \"", name,
        "_scale\" holds values that are not positive and finite");
  check((zero_point >= -128).logical_and(zero_point <= 127).all().item<bool>(), where, ": \"", name,
        "_zero_point\" holds values outside of -128 .. 127");
  return make(integers.contiguous(), scale, zero_point);
}

void append_qparams(StateDict& state, const std::string& name, const std::vector<float>& scale,
                    const std::vector<int32_t>& zero_point) {
  state.insert(name + "_scale", at::tensor(scale));
  state.insert(name + "_zero_point", at::tensor(zero_point.empty() ? std::vector<int32_t>(scale.size()) : zero_point));
}

at::Tensor bias_from(const StateDict& state, const std::string& name, int64_t channels, const std::string& where) {
  const at::Tensor* const bias = state.find(name);
  if (!bias) return {};
  check(bias->scalar_type() == at::kFloat && bias->dim() == 1 && bias->size(0) == channels, where, ": \"", name, "\" is a ",
        bias->scalar_type(), " tensor of shape ", bias->sizes(), ", expected float32 of shape [", channels, "]");
  return *bias;
}

at::Tensor float_bias(const at::Tensor& bias) {
  return bias.defined() ? bias.detach().to(at::kFloat).contiguous().clone() : at::Tensor();
}

}  // namespace octet::nn
