#include <octet/observe/placeholder_observer.h>

#include <observe/arguments.h>
#include <observe/python_repr.h>

namespace octet {
namespace {

QuantizationTarget checked(const PlaceholderObserverOptions& options) {
  check(!options.per_row() || options.is_dynamic(),
        "PlaceholderObserver: per_row is for dynamic quantization; set is_dynamic(true) as well");
  return {.dtype = options.dtype(),
          .qscheme = options.qscheme(),
          .quant_min = options.quant_min().value_or(info(options.dtype()).quant_min),
          .quant_max = options.quant_max().value_or(info(options.dtype()).quant_max),
          .is_dynamic = options.is_dynamic(),
          .per_row = options.per_row()};
}

QuantizationTarget whole_range_of(DType dtype) {
  return {.dtype = dtype, .quant_min = info(dtype).quant_min, .quant_max = info(dtype).quant_max};
}

}  // namespace

at::Tensor PassThroughObserver::forward(const at::Tensor& x) { return x; }

QParams PassThroughObserver::calculate_qparams() const {
  fail(name(),
       " computes no qparams: it only says how to quantize. Use an observer such as MinMaxObserver where a scale is needed");
}

Arguments PlaceholderObserverOptions::arguments() const {
  return {{"dtype", argument_text(dtype())},
          {"qscheme", argument_text(qscheme())},
          {"quant_min", argument_text(quant_min())},
          {"quant_max", argument_text(quant_max())},
          {"eps", argument_text(eps())},
          {"is_dynamic", argument_text(is_dynamic())},
          {"per_row", argument_text(per_row())},
          {"custom_op_name", argument_text(custom_op_name())}};
}

PlaceholderObserver::PlaceholderObserver(const Options& options) : ObserverOf(options, checked(options)) {}

std::string PlaceholderObserver::extra_repr() const {
  return "dtype=" + python_repr(dtype()) + ", is_dynamic=" + python_repr(is_dynamic());
}

Arguments RecordingObserverOptions::arguments() const { return {{"dtype", argument_text(dtype())}}; }

RecordingObserver::RecordingObserver(const Options& options) : ObserverOf(options, whole_range_of(options.dtype())) {}

at::Tensor RecordingObserver::forward(const at::Tensor& x) {
  tensor_val_.push_back(x.detach().clone());
  return x;
}

void RecordingObserver::copy_unregistered_state(const ObserverBase& other) {
  tensor_val_.clear();
  for (const auto& tensor : dynamic_cast<const RecordingObserver&>(other).tensor_val_) tensor_val_.push_back(tensor.clone());
}

Arguments NoopObserverOptions::arguments() const {
  return {{"dtype", argument_text(dtype())}, {"custom_op_name", argument_text(custom_op_name())}};
}

NoopObserver::NoopObserver(const Options& options) : ObserverOf(options, whole_range_of(options.dtype())) {}

ReuseInputObserver::ReuseInputObserver(const Options& options) : ObserverOf(options, whole_range_of(quint8)) {}

}  // namespace octet
