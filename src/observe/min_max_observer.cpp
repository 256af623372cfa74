#include <octet/observe/min_max_observer.h>

#include <observe/arguments.h>
#include <observe/group_rows.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <limits>

namespace octet {

MinMaxObserverBase::MinMaxObserverBase(const std::string& class_name, const UniformQuantizationSettings& settings,
                                       Granularity granularity, int64_t ch_axis, std::optional<double> averaging_constant,
                                       int64_t group_size)
    : UniformQuantizationObserverBase(class_name, settings, granularity, ch_axis, group_size),
      averaging_constant_(averaging_constant) {
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
  if (target().group_size > 0) {
    at::Tensor rows = groups_as_rows(x, target().group_size);
    check(min_val_.numel() == 0 || min_val_.numel() == rows.size(0), name(), ": the input of sizes ", x.sizes(), " has ",
          rows.size(0), " groups of ", target().group_size, ", earlier ones had ", min_val_.numel());
    return rows;
  }
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
  widen_or_move_to(seen);
  return x;
}

// A few numbers, in plain code: operators on tensors would take longer than all the elements of a small layer's input.
void MinMaxObserverBase::widen_or_move_to(const Range& seen) {
  const Range own{min_val_.cpu(), max_val_.cpu()}, other{seen.min.cpu(), seen.max.cpu()};  // the same tensors, on the CPU
  auto *min = own.min.mutable_data_ptr<float>(), *max = own.max.mutable_data_ptr<float>();
  const auto *seen_min = other.min.const_data_ptr<float>(), *seen_max = other.max.const_data_ptr<float>();
  const auto c = static_cast<float>(averaging_constant_.value_or(0));
  for (int64_t i = 0; i < own.min.numel(); ++i) {
    if (seen_min[i] > seen_max[i]) continue;  // nothing finite
    if (!averaging_constant_ || min[i] > max[i]) {
      min[i] = std::min(min[i], seen_min[i]);
      max[i] = std::max(max[i], seen_max[i]);
    } else {
      min[i] += c * (seen_min[i] - min[i]);
      max[i] += c * (seen_max[i] - max[i]);
    }
  }
  min_val_.copy_(own.min);
  max_val_.copy_(own.max);
}

int64_t MinMaxObserverBase::agreed_channels(RankReduction& reduction) const {
  const int64_t channels = min_val_.numel();
  const int64_t negated = channels > 0 ? -channels : std::numeric_limits<int64_t>::min();
  at::Tensor extremes = at::tensor({channels, negated}, min_val_.options().dtype(at::kLong));
  reduction.max(extremes);
  const int64_t most = extremes[0].item<int64_t>();
  const int64_t fewest = -extremes[1].item<int64_t>();
  check(most == 0 || fewest == most, name(), ": the processes saw inputs of ", fewest, " to ", most, " channels, this one of ",
        channels, "; all of them must run the same model on inputs of the same kind");
  return most;
}

void MinMaxObserverBase::reduce_over_ranks(RankReduction& reduction) {
  const at::NoGradGuard no_grad;
  Range range{min_val_.clone(), max_val_.clone()};
  if (is_per_channel(qscheme())) {
    const int64_t channels = agreed_channels(reduction);
    if (channels == 0) return;  // no process has seen anything
    if (range.min.numel() == 0) {
      range.min.resize_({channels}).fill_(std::numeric_limits<float>::infinity());
      range.max.resize_({channels}).fill_(-std::numeric_limits<float>::infinity());
    }
  }
  reduction.min(range.min);
  reduction.max(range.max);
  min_val_.resize_(range.min.sizes()).copy_(range.min);
  max_val_.resize_(range.max.sizes()).copy_(range.max);
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
