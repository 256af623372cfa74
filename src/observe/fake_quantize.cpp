#include <octet/observe/fake_quantize.h>

#include <observe/arguments.h>
#include <observe/python_repr.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/fake_quantize_per_channel_affine.h>
#include <ATen/ops/fake_quantize_per_tensor_affine.h>
#include <ATen/ops/fused_moving_avg_obs_fake_quant.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

namespace octet {
namespace {

const QuantizationTarget& checked_target(const std::string& class_name, const ObserverFactory& observer) {
  check(observer && info(observer.dtype()).is_quantized, class_name, ": its observer is ", observer.describe(),
        ", expected one that computes qparams, such as MovingAverageMinMaxObserver");
  return observer.target();
}

// What makes a fused fake quantizer's observer different from any other.
const MinMaxObserverBase* as_moving_average(const ObserverBase* observer) {
  const auto* min_max = dynamic_cast<const MinMaxObserverBase*>(observer);
  return min_max && min_max->averaging_constant() ? min_max : nullptr;
}

template <class Action>
void apply_to_fake_quantizer(torch::nn::Module& module, Action action) {
  if (auto* fake_quantize = module.as<FakeQuantizeBase>()) action(*fake_quantize);
}

}  // namespace

FakeQuantizeBase::FakeQuantizeBase(const std::string& class_name, const ObserverFactory& observer, at::ScalarType flag_dtype)
    : ObserverBase(class_name, checked_target(class_name, observer)) {
  fake_quant_enabled_ = register_buffer("fake_quant_enabled", at::ones({1}, flag_dtype));
  observer_enabled_ = register_buffer("observer_enabled", at::ones({1}, flag_dtype));
  activation_post_process_ = register_module("activation_post_process", observer());
  scale_ = register_buffer("scale", at::ones({1}, at::kFloat));
  const bool float_zero_point = qscheme() == per_channel_affine_float_qparams;
  zero_point_ = register_buffer("zero_point", at::zeros({1}, float_zero_point ? at::kFloat : at::kInt));
}

at::Tensor FakeQuantizeBase::forward(const at::Tensor& x) {
  if (x.numel() == 0) return x;
  if (observes()) {
    const at::NoGradGuard no_grad;
    activation_post_process_->forward(x.detach());
    if (activation_post_process_->is_calibrated()) {
      const QParams qparams = calculate_qparams();
      scale_.resize_(qparams.scale.sizes()).copy_(qparams.scale);
      zero_point_.resize_(qparams.zero_point.sizes()).copy_(qparams.zero_point);
    }
  }
  if (!fake_quant_enabled_.item<bool>()) return x;
  if (!is_per_channel(qscheme())) return at::fake_quantize_per_tensor_affine(x, scale_, zero_point_, quant_min(), quant_max());
  const int64_t axis = ch_axis() < 0 ? ch_axis() + x.dim() : ch_axis();
  return at::fake_quantize_per_channel_affine(x, scale_, zero_point_, axis, quant_min(), quant_max());
}

std::string FakeQuantizeBase::repr_of_switches() const {
  return "fake_quant_enabled=" + python_repr(fake_quant_enabled_) + ", observer_enabled=" + python_repr(observer_enabled_);
}

std::string FakeQuantizeBase::repr_of_qparams() const {
  return "scale=" + python_repr(scale_) + ", zero_point=" + python_repr(zero_point_);
}

std::string FakeQuantizeBase::repr_of_range() const {
  return "quant_min=" + python_repr(quant_min()) + ", quant_max=" + python_repr(quant_max());
}

std::string FakeQuantizeBase::extra_repr() const {
  return repr_of_switches() + ", " + repr_of_range() + ", dtype=" + python_repr(dtype()) + ", qscheme=" + python_repr(qscheme()) +
         ", ch_axis=" + python_repr(ch_axis()) + ", " + repr_of_qparams();
}

Arguments FakeQuantizeOptions::arguments() const { return {{"observer", argument_text(observer())}}; }

FakeQuantize::FakeQuantize(const Options& options) : ObserverOf(options, options.observer()) {}

Arguments FixedQParamsFakeQuantizeOptions::arguments() const { return {{"observer", argument_text(observer())}}; }

FixedQParamsFakeQuantize::FixedQParamsFakeQuantize(const Options& options) : ObserverOf(options, options.observer()) {
  const auto* fixed = activation_post_process_->as<FixedQParamsObserver>();
  check(fixed != nullptr, name(), ": its observer is ", options.observer(), ", expected a FixedQParamsObserver");
  scale_.copy_(fixed->scale());
  zero_point_.copy_(fixed->zero_point());
}

std::string FixedQParamsFakeQuantize::extra_repr() const {
  return repr_of_switches() + ", " + repr_of_qparams() + ", dtype=" + python_repr(dtype()) + ", " + repr_of_range() +
         ", qscheme=" + python_repr(qscheme());
}

Arguments FusedMovingAvgObsFakeQuantizeOptions::arguments() const { return {{"observer", argument_text(observer())}}; }

FusedMovingAvgObsFakeQuantize::FusedMovingAvgObsFakeQuantize(const Options& options)
    : ObserverOf(options, options.observer(), at::kLong) {
  const auto* average = as_moving_average(activation_post_process_.get());
  check(average != nullptr, name(), ": its observer is ", options.observer(),
        ", expected a MovingAverageMinMaxObserver or a MovingAveragePerChannelMinMaxObserver");
  check((!is_per_channel(qscheme()) || average->ch_axis() == 0) && qscheme() != per_channel_affine_float_qparams, name(),
        " takes channels in dimension 0 and integer ", "zero points only, but its observer is ", options.observer(),
        "; use FakeQuantize for that");
  check(!average->ignores_non_finite(), name(), " cannot leave non-finite elements out; use FakeQuantize for that");
}

at::Tensor FusedMovingAvgObsFakeQuantize::forward(const at::Tensor& x) {
  if (x.numel() == 0) return x;
  const auto& average = *as_moving_average(activation_post_process_.get());
  if (observes()) average.check_finite(x.detach());
  at::Tensor min_val = average.min_val();
  at::Tensor max_val = average.max_val();
  return at::fused_moving_avg_obs_fake_quant(x, observer_enabled_, fake_quant_enabled_, min_val, max_val, scale_, zero_point_,
                                             *average.averaging_constant(), quant_min(), quant_max(), ch_axis(),
                                             is_per_channel(qscheme()), is_symmetric(qscheme()));
}

std::string FusedMovingAvgObsFakeQuantize::extra_repr() const {
  return repr_of_switches() + ", " + repr_of_qparams() + ", dtype=" + python_repr(dtype()) + ", " + repr_of_range() +
         ", qscheme=" + python_repr(qscheme()) +
         ", reduce_range=" + python_repr(as_moving_average(activation_post_process_.get())->reduce_range());
}

void enable_fake_quant(torch::nn::Module& module) {
  apply_to_fake_quantizer(module, [](FakeQuantizeBase& it) { it.enable_fake_quant(); });
}

void disable_fake_quant(torch::nn::Module& module) {
  apply_to_fake_quantizer(module, [](FakeQuantizeBase& it) { it.disable_fake_quant(); });
}

void enable_observer(torch::nn::Module& module) {
  apply_to_fake_quantizer(module, [](FakeQuantizeBase& it) { it.enable_observer(); });
}

void disable_observer(torch::nn::Module& module) {
  apply_to_fake_quantizer(module, [](FakeQuantizeBase& it) { it.disable_observer(); });
}

}  // namespace octet
