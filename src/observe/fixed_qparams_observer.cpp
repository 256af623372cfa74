#include <octet/observe/fixed_qparams_observer.h>

#include <observe/arguments.h>

#include <ATen/ops/full.h>

#include <cmath>

namespace octet {
namespace {

QuantizationTarget checked(const FixedQParamsObserverOptions& options) {
  const auto& dtype = info(options.dtype());
  const int64_t quant_min = options.quant_min().value_or(dtype.quant_min);
  const int64_t quant_max = options.quant_max().value_or(dtype.quant_max);
  check(!is_per_channel(options.qscheme()), "FixedQParamsObserver: qscheme is ", options.qscheme(),
        ", expected per_tensor_affine or per_tensor_symmetric");
  check(dtype.quant_min <= quant_min && quant_min < quant_max && quant_max <= dtype.quant_max, "FixedQParamsObserver: quant_min ",
        quant_min, " and quant_max ", quant_max, " are no range within ", dtype.name, ", which holds ", dtype.quant_min, " to ",
        dtype.quant_max);
  check(std::isfinite(options.scale()) && options.scale() > 0, "FixedQParamsObserver: scale is ", options.scale(),
        ", expected a positive number");
  check(quant_min <= options.zero_point() && options.zero_point() <= quant_max, "FixedQParamsObserver: zero_point is ",
        options.zero_point(), ", expected ", quant_min, " to ", quant_max);
  return {.dtype = options.dtype(), .qscheme = options.qscheme(), .quant_min = quant_min, .quant_max = quant_max};
}

}  // namespace

Arguments FixedQParamsObserverOptions::arguments() const {
  return {{"scale", argument_text(scale())},         {"zero_point", argument_text(zero_point())},
          {"dtype", argument_text(dtype())},         {"qscheme", argument_text(qscheme())},
          {"quant_min", argument_text(quant_min())}, {"quant_max", argument_text(quant_max())}};
}

FixedQParamsObserver::FixedQParamsObserver(const Options& options) : ObserverOf(options, checked(options)) {
  scale_ = register_buffer("scale", at::full({1}, options.scale(), at::kFloat));
  zero_point_ = register_buffer("zero_point", at::full({1}, options.zero_point(), at::kInt));
}

QParams FixedQParamsObserver::calculate_qparams() const { return {scale_.clone(), zero_point_.to(at::kLong)}; }

}  // namespace octet
