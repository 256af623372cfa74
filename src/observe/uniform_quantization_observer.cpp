#include <octet/observe/uniform_quantization_observer.h>

#include <octet/kernels/quantize.h>
#include <octet/tensor/parallel.h>

#include <observe/arguments.h>
#include <tensor/in_module.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace octet {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

int64_t halved(int64_t bound) { return bound >= 0 ? bound / 2 : (bound - 1) / 2; }  // rounded down, as Python's //

struct Extremes {
  at::Tensor min;
  at::Tensor max;
  bool all_finite;  ///< of all elements
};

Extremes extremes_by_kernel(const at::Tensor& x, bool of_rows) {
  const at::Tensor values = x.is_non_overlapping_and_dense() && !of_rows ? x : x.contiguous();
  const auto* data = values.const_data_ptr<float>();
  std::vector<kernels::MinMax> ranges(of_rows ? x.size(0) : 1);
  if (of_rows) {
    kernels::min_max_rows({data, x.size(1)}, x.size(0), x.size(1), ranges.data(), parallel_for);
  } else {
    ranges[0] = kernels::min_max(data, x.numel(), parallel_for);
  }
  const at::IntArrayRef sizes = of_rows ? x.sizes().slice(0, 1) : at::IntArrayRef();
  Extremes extremes{at::empty(sizes, at::kFloat), at::empty(sizes, at::kFloat), true};
  for (size_t i = 0; i < ranges.size(); ++i) {
    const auto& [min, max, has_nan] = ranges[i];
    extremes.min.mutable_data_ptr<float>()[i] = min;
    extremes.max.mutable_data_ptr<float>()[i] = max;
    extremes.all_finite &= !has_nan && std::isfinite(min) && std::isfinite(max);
  }
  return extremes;
}

// Of a tensor that has elements, or of each row of a matrix.
Extremes extremes_of(const at::Tensor& x, bool of_rows) {
  if (x.is_cpu() && x.scalar_type() == at::kFloat) return extremes_by_kernel(x, of_rows);
  const auto [min, max] = at::aminmax(x, of_rows ? std::optional<int64_t>(1) : std::nullopt);
  // Both are NaN where there is one, so they tell of all elements.
  return {min, max, at::isfinite(min).logical_and(at::isfinite(max)).all().item<bool>()};
}

void check_settings(const std::string& name, const UniformQuantizationSettings& settings, Granularity granularity) {
  const auto& [dtype, qscheme, reduce_range, quant_min, quant_max, eps, is_dynamic, ignore_non_finite] = settings;
  const bool per_channel = granularity == Granularity::per_channel;
  check(is_per_channel(qscheme) == per_channel, name, ": qscheme is ", qscheme, ", expected ",
        per_channel
            ? "per_channel_affine, per_channel_symmetric or per_channel_affine_float_qparams; MinMaxObserver takes the others"
            : "per_tensor_affine or per_tensor_symmetric; PerChannelMinMaxObserver takes the others");
  check(info(dtype).is_quantized, name, ": dtype is ", dtype,
        ", expected qint8, quint8, qint32, quint4x2 or quint2x4; PlaceholderObserver stands for the float dtypes");
  check(!(reduce_range && is_symmetric(qscheme) && dtype == quint8), name, ": reduce_range cannot go with ", qscheme,
        " of quint8, whose zero point is 128; use qint8 or leave it out");
  check(std::isfinite(eps) && eps > 0, name, ": eps is ", eps, ", expected a positive number");
  check(quant_min.has_value() == quant_max.has_value(), name, ": quant_min and quant_max go together, but only ",
        quant_min ? "quant_min" : "quant_max", " is set");
  if (!quant_min) return;
  check(*quant_min <= 0 && 0 <= *quant_max && *quant_min < *quant_max, name, ": quant_min ", *quant_min, " and quant_max ",
        *quant_max, " must be different and hold 0 between them");
  check(info(dtype).quant_min <= *quant_min && *quant_max <= info(dtype).quant_max, name, ": quant_min ", *quant_min,
        " and quant_max ", *quant_max, " are beyond ", dtype, ", which holds ", info(dtype).quant_min, " to ",
        info(dtype).quant_max);
}

QuantizationTarget target_for(const std::string& name, const UniformQuantizationSettings& settings, Granularity granularity,
                              int64_t ch_axis, int64_t group_size) {
  check_settings(name, settings, granularity);
  const DType dtype = settings.dtype;
  const bool halve = settings.reduce_range && (settings.quant_min || dtype == qint8 || dtype == quint8);
  const int64_t quant_min = settings.quant_min.value_or(info(dtype).quant_min);
  const int64_t quant_max = settings.quant_max.value_or(info(dtype).quant_max);
  return {.dtype = dtype,
          .qscheme = settings.qscheme,
          .quant_min = halve ? halved(quant_min) : quant_min,
          .quant_max = halve ? halved(quant_max) : quant_max,
          .is_dynamic = settings.is_dynamic,
          .per_row = false,
          .ch_axis = ch_axis,
          .group_size = group_size};
}

}  // namespace

Arguments UniformQuantizationSettings::arguments() const {
  return {{"dtype", argument_text(dtype)},
          {"qscheme", argument_text(qscheme)},
          {"reduce_range", argument_text(reduce_range)},
          {"quant_min", argument_text(quant_min)},
          {"quant_max", argument_text(quant_max)},
          {"eps", argument_text(eps)},
          {"is_dynamic", argument_text(is_dynamic)},
          {"ignore_non_finite", argument_text(ignore_non_finite)}};
}

UniformQuantizationObserverBase::UniformQuantizationObserverBase(const std::string& class_name,
                                                                 const UniformQuantizationSettings& settings,
                                                                 Granularity granularity, int64_t ch_axis, int64_t group_size)
    : ObserverBase(class_name, target_for(class_name, settings, granularity, ch_axis, group_size)), settings_(settings) {
  const std::vector<int64_t> sizes(granularity == Granularity::per_channel ? 1 : 0, 0);
  eps_ = register_buffer("eps", at::full({1}, settings.eps, at::kFloat));
  min_val_ = register_buffer("min_val", at::full(sizes, kInfinity, at::kFloat));
  max_val_ = register_buffer("max_val", at::full(sizes, -kInfinity, at::kFloat));
}

bool UniformQuantizationObserverBase::is_calibrated() const {
  const at::Tensor min = min_val_.cpu(), max = max_val_.cpu();
  const auto *first = min.const_data_ptr<float>(), *last = first + min.numel();
  return first != last && std::equal(first, last, max.const_data_ptr<float>(), std::less_equal<>());
}

void UniformQuantizationObserverBase::reset_min_max_vals() {
  const at::NoGradGuard no_grad;
  if (is_per_channel(qscheme())) {
    min_val_.resize_({0});
    max_val_.resize_({0});
  }
  min_val_.fill_(kInfinity);
  max_val_.fill_(-kInfinity);
}

std::string UniformQuantizationObserverBase::extra_repr() const {
  return "min_val=" + python_repr(min_val_) + ", max_val=" + python_repr(max_val_);
}

void UniformQuantizationObserverBase::check_finite(const at::Tensor& x) const {
  if (extremes_of(x, /*of_rows=*/false).all_finite) return;
  const int64_t nans = at::isnan(x).sum().item<int64_t>();
  const int64_t infinities = x.numel() - at::isfinite(x).sum().item<int64_t>() - nans;
  fail(name(), in_module(), ": among the ", x.numel(), " elements of its input are ", nans, " NaN and ", infinities,
       " infinities (as ", x.scalar_type(),
       "). Find out what makes them, or leave them out with the option ignore_non_finite(true)");
}

UniformQuantizationObserverBase::Range UniformQuantizationObserverBase::finite_range(const at::Tensor& x) const {
  const bool of_rows = is_per_channel(qscheme());
  const auto [min, max, all_finite] = extremes_of(x, of_rows);
  if (all_finite) return {min, max};
  if (!settings_.ignore_non_finite) check_finite(x);
  const at::Tensor finite = at::isfinite(x);
  return {extremes_of(at::where(finite, x, kInfinity), of_rows).min, extremes_of(at::where(finite, x, -kInfinity), of_rows).max};
}

QParams UniformQuantizationObserverBase::qparams_for(const Range& range) const {
  check(is_calibrated(), name(), min_val_.numel() > 1 ? " has seen no finite value in some channel" : " has seen no data",
        ", so it knows no scale: run forward on calibration batches before asking for qparams or converting");
  return choose_qparams(range.min, range.max,
                        {.dtype = dtype(),
                         .qscheme = qscheme(),
                         .quant_min = quant_min(),
                         .quant_max = quant_max(),
                         .eps = eps_.item<double>(),
                         .has_customized_qrange = settings_.quant_min.has_value()});
}

}  // namespace octet
