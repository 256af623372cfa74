#include <octet/observe/fake_quantize.h>

#include <observe/arguments.h>
#include <observe/fake_quantize_function.h>
#include <observe/python_repr.h>
#include <tensor/in_module.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/fused_moving_avg_obs_fake_quant.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <vector>

namespace octet {
namespace {

const QuantizationTarget& checked_target(const std::string& class_name, const ObserverFactory& observer) {
  check(observer && info(observer.dtype()).is_quantized, class_name, ": its observer is ", observer.describe(),
        ", expected one that computes qparams, such as MovingAverageMinMaxObserver");
  check(observer.target().group_size == 0, class_name, ": its observer is ", observer.describe(),
        ", but fake quantization knows no groups; train with one scale for each channel");
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

FakeQuantizeBase::FakeQuantizeBase(const std::string& class_name, const ObserverFactory& observer, at::ScalarType flag_dtype,
                                   QParamsAre qparams_are)
    : ObserverBase(class_name, checked_target(class_name, observer)) {
  fake_quant_enabled_ = register_buffer("fake_quant_enabled", at::ones({1}, flag_dtype));
  observer_enabled_ = register_buffer("observer_enabled", at::ones({1}, flag_dtype));
  activation_post_process_ = register_module("activation_post_process", observer());
  const bool learned = qparams_are == QParamsAre::parameters;
  const auto hold = [&](const char* key, const at::Tensor& value) {
    return learned ? register_parameter(key, value, /*requires_grad=*/false) : register_buffer(key, value);
  };
  const bool float_zero_point = learned || qscheme() == per_channel_affine_float_qparams;
  scale_ = hold("scale", at::ones({1}, at::kFloat));
  zero_point_ = hold("zero_point", at::zeros({1}, float_zero_point ? at::kFloat : at::kInt));
}

at::Tensor FakeQuantizeBase::forward(const at::Tensor& x) {
  if (x.numel() == 0) return x;
  if (observes()) {
    const at::NoGradGuard no_grad;
    observe(x.detach());
  }
  return fake_quant_enabled_.item<bool>() ? fake_quantize(x) : x;
}

void FakeQuantizeBase::observe(const at::Tensor& x) {
  activation_post_process_->forward(x);
  if (activation_post_process_->is_calibrated()) take_over_qparams();
}

at::Tensor FakeQuantizeBase::fake_quantize(const at::Tensor& x) { return octet::fake_quantize(x, scale_, zero_point_, target()); }

void FakeQuantizeBase::take_over_qparams() {
  const at::NoGradGuard no_grad;
  const auto [scale, zero_point] = observed_qparams();
  if (scale_.sizes() != scale.sizes()) {  // the first input said how many channels there are
    scale_.resize_(scale.sizes());
    zero_point_.resize_(scale.sizes());
  }
  scale_.copy_(scale);
  zero_point_.copy_(zero_point);
}

void FakeQuantizeBase::start_from(const ObserverBase& calibrated) {
  check(is_per_channel(qscheme()) == is_per_channel(calibrated.qscheme()), name(), ": cannot start from the ",
        calibrated.qscheme(), " of ", calibrated.describe(), " with its own ", qscheme(),
        "; both must be per tensor or both per channel");
  check(calibrated.is_calibrated(), name(), ": cannot start from ", calibrated.describe(),
        ", which has seen no data; run forward on calibration batches first");
  const auto [scale, zero_point] = calibrated.calculate_qparams();
  // The range of a symmetric scheme is half of all steps to both sides, of which the integers lack half a step on one.
  const auto middle = at::Scalar(static_cast<double>(calibrated.quant_min() + calibrated.quant_max()) / 2);
  const at::Tensor zero = is_symmetric(calibrated.qscheme()) ? at::full_like(scale, middle) : zero_point;
  const at::Tensor ends = at::stack({(calibrated.quant_min() - zero) * scale, (calibrated.quant_max() - zero) * scale});
  // A batch of these two: the channels lie in their dimension, and the ends in the first or, if that is it, in the second.
  const int64_t dim = std::max<int64_t>(ch_axis() < 0 ? -ch_axis() : ch_axis() + 1, 2);
  const int64_t axis = ch_axis() < 0 ? ch_axis() + dim : ch_axis();
  std::vector<int64_t> sizes(dim, 1);
  sizes[axis] = scale.numel();
  sizes[axis == 0 ? 1 : 0] = 2;
  activation_post_process_->reset_min_max_vals();
  activation_post_process_->forward((axis == 0 ? ends.t() : ends).reshape(sizes).to(scale_.device()));
  take_over_qparams();
}

void FakeQuantizeBase::reduce_over_ranks(RankReduction& reduction) {
  activation_post_process_->reduce_over_ranks(reduction);
  if (activation_post_process_->is_calibrated()) take_over_qparams();
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

const MinMaxObserverBase& FusedMovingAvgObsFakeQuantize::average() const {
  return *as_moving_average(activation_post_process_.get());
}

at::Tensor FusedMovingAvgObsFakeQuantize::forward(const at::Tensor& x) {
  if (x.numel() == 0 || !x.is_cuda() || x.scalar_type() != at::kFloat) return FakeQuantizeBase::forward(x);
  if (observes()) average().check_finite(x.detach());
  at::Tensor min_val = average().min_val();
  at::Tensor max_val = average().max_val();
  return at::fused_moving_avg_obs_fake_quant(x, observer_enabled_, fake_quant_enabled_, min_val, max_val, scale_, zero_point_,
                                             *average().averaging_constant(), quant_min(), quant_max(), ch_axis(),
                                             is_per_channel(qscheme()), is_symmetric(qscheme()));
}

// As in the operator, scale and zero point are those of the last fake quantization and not of the last observation.
void FusedMovingAvgObsFakeQuantize::observe(const at::Tensor& x) { activation_post_process_->forward(x); }

at::Tensor FusedMovingAvgObsFakeQuantize::fake_quantize(const at::Tensor& x) {
  take_over_qparams();
  return FakeQuantizeBase::fake_quantize(x);
}

QParams FusedMovingAvgObsFakeQuantize::observed_qparams() const {
  check(is_calibrated(), name(), in_module(),
        " has seen no data, so it knows no scale: enable its observer for a batch at least");
  const at::Tensor min = average().min_val().cpu(), max = average().max_val().cpu();
  const auto* min_of = min.const_data_ptr<float>();
  const auto* max_of = max.const_data_ptr<float>();
  const at::Tensor scale = at::empty({min.numel()}, at::kFloat), zero_point = at::empty({min.numel()}, at::kLong);
  for (int64_t i = 0; i < min.numel(); ++i) {
    const auto qparams = choose_dynamic_qparams(min_of[i], max_of[i], quant_min(), quant_max(), /*reduce_range=*/false,
                                                /*preserve_sparsity=*/is_symmetric(qscheme()));
    scale.mutable_data_ptr<float>()[i] = static_cast<float>(qparams.scale);
    zero_point.mutable_data_ptr<int64_t>()[i] = qparams.zero_point;
  }
  return {scale, zero_point};
}

std::string FusedMovingAvgObsFakeQuantize::extra_repr() const {
  return repr_of_switches() + ", " + repr_of_qparams() + ", dtype=" + python_repr(dtype()) + ", " + repr_of_range() +
         ", qscheme=" + python_repr(qscheme()) + ", reduce_range=" + python_repr(average().reduce_range());
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
