#include <octet/observe/min_max_observer.h>

#include <observe/arguments.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/where.h>

#include <limits>

namespace octet {

MinMaxObserverBase::MinMaxObserverBase(const std::string& class_name, const UniformQuantizationSettings& settings,
                                       Granularity granularity, int64_t ch_axis, std::optional<double> averaging_constant)
    : UniformQuantizationObserverBase(class_name, settings, granularity, ch_axis), averaging_constant_(averaging_constant) {
  if (averaging_constant) {
    check(0 <= *averaging_constant && *averaging_constant <= 1, class_name, ": averaging_constant is ", *averaging_constant,
          ", expected 0 to 1");
  }
  if (settings.is_dynamic) {
    check(granularity == Granularity::per_tensor, class_name, ": is_dynamic is for per-tensor observers only");
    check(averaging_constant.value_or(1) == 1, class_name, ": is_dynamic needs an averaging_constant of 1, got ",
          *averaging_constant, ": what is dynamic forgets earlier inputs");
  }
}

at::Tensor MinMaxObserverBase::channels_as_rows(const at::Tensor& x) const {
  const int64_t axis = ch_axis() < 0 ? ch_axis() + x.dim() : ch_axis();
  check(0 <= axis && axis < x.dim(), name(), ": ch_axis ", ch_axis(), " is no dimension of an input of sizes ", x.sizes());
  const int64_t channels = x.size(axis);
  check(min_val_.numel() == 0 || min_val_.numel() == channels, name(), ": the input of sizes ", x.sizes(), " has ", channels,
        " channels in dimension ", axis, ", earlier ones had ", min_val_.numel());
  return x.transpose(0, axis).reshape({channels, -1});
}

at::Tensor MinMaxObserverBase::forward(const at::Tensor& x) {
  if (x.numel() == 0) return x;
  const at::NoGradGuard no_grad;
  const at::Tensor values = x.detach().to(at::kFloat);
  const Range seen = finite_range(is_per_channel(qscheme()) ? channels_as_rows(values) : values);
  if (min_val_.sizes() != seen.min.sizes()) {  // the first input says how many channels there are
    min_val_.resize_(seen.min.sizes()).fill_(std::numeric_limits<float>::infinity());
    max_val_.resize_(seen.max.sizes()).fill_(-std::numeric_limits<float>::infinity());
  }
  if (!averaging_constant_) {
    min_val_.copy_(at::minimum(seen.min, min_val_));
    max_val_.copy_(at::maximum(seen.max, max_val_));
    return x;
  }
  const at::Tensor is_first = min_val_ > max_val_;
  const at::Tensor is_nothing = seen.min > seen.max;
  const auto moved = [&](const at::Tensor& from, const at::Tensor& to) {
    const at::Tensor average = from + *averaging_constant_ * (to - from);
    return at::where(is_first, to, at::where(is_nothing, from, average));
  };
  min_val_.copy_(moved(min_val_, seen.min));
  max_val_.copy_(moved(max_val_, seen.max));
  return x;
}

QParams MinMaxObserverBase::calculate_qparams() const { return qparams_for({min_val_, max_val_}); }

MinMaxObserver::MinMaxObserver(const Options& options)
    : ObserverOf(options, options.settings(), Granularity::per_tensor, -1, std::nullopt) {}

MovingAverageMinMaxObserver::MovingAverageMinMaxObserver(const Options& options)
    : ObserverOf(options, options.settings(), Granularity::per_tensor, -1, options.averaging_constant()) {}

PerChannelMinMaxObserver::PerChannelMinMaxObserver(const Options& options)
    : ObserverOf(options, options.settings(), Granularity::per_channel, options.ch_axis(), std::nullopt) {}

MovingAveragePerChannelMinMaxObserver::MovingAveragePerChannelMinMaxObserver(const Options& options)
    : ObserverOf(options, options.settings(), Granularity::per_channel, options.ch_axis(), options.averaging_constant()) {}

Arguments MovingAverageMinMaxObserverOptions::arguments() const {
  return joined(settings().arguments(), {{"averaging_constant", argument_text(averaging_constant())}});
}

Arguments PerChannelMinMaxObserverOptions::arguments() const {
  return joined(settings().arguments(), {{"ch_axis", argument_text(ch_axis())}});
}

Arguments MovingAveragePerChannelMinMaxObserverOptions::arguments() const {
  return joined(settings().arguments(),
                {{"averaging_constant", argument_text(averaging_constant())}, {"ch_axis", argument_text(ch_axis())}});
}

}  // namespace octet
