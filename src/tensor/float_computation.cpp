#include <octet/tensor/error.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/float_computation.h>
#include <tensor/integers.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace octet {
namespace {

// A quantized tensor that the op writes to, and the float tensor that stands in for it.
struct Written {
  at::Tensor quantized;
  at::Tensor values;
};

class Dequantizer {
 public:
  c10::IValue operator()(const c10::IValue& value, bool written) {
    if (value.isTensor() && is_quantized(value.toTensor())) return dequantized(value.toTensor(), written);
    if (!value.isList()) return value;
    const auto elements = value.toListRef();
    const bool any = std::any_of(elements.begin(), elements.end(), [](const c10::IValue& element) {
      return element.isTensor() && is_quantized(element.toTensor());
    });
    if (!any) return value;
    auto list = c10::impl::GenericList(value.toList().elementType());
    for (const c10::IValue& element : elements) list.push_back((*this)(element, written));
    return list;
  }

  const std::vector<Written>& written() const { return written_; }

 private:
  // One stand-in for a tensor that is named twice, as in x.add_(x).
  at::Tensor dequantized(const at::Tensor& tensor, bool written) {
    for (const Written& known : written_) {
      if (known.quantized.is_same(tensor)) return known.values;
    }
    at::Tensor values = octet::dequantize(tensor);
    if (written) written_.push_back({tensor, values});
    return values;
  }

  std::vector<Written> written_;
};

void write_back(const Written& written) {
  const auto& impl = impl_of(written.quantized, "write_back");
  check(written.values.sizes() == impl.sizes(), "a result of sizes ", written.values.sizes(),
        " can't be written into a quantized tensor of sizes ", impl.sizes());
  impl.integers().copy_(quantize_to_integers(written.values, *impl.quantizer()));
}

}  // namespace

bool returns_a_view(const OpCall& call) {
  const auto& returns = call.schema().returns();
  return std::any_of(returns.begin(), returns.end(),
                     [](const c10::Argument& result) { return result.alias_info() && !result.alias_info()->isWrite(); });
}

void compute_in_float(OpCall& call) {
  Dequantizer dequantize_argument;
  for (size_t i = 0; i < call.size(); ++i) call[i] = dequantize_argument(call[i], call.writes(i));
  call.run();
  for (const Written& written : dequantize_argument.written()) {
    write_back(written);
    for (size_t i = 0; i < call.results(); ++i) {
      c10::IValue& result = call.result(i);
      if (result.isTensor() && result.toTensor().is_same(written.values)) result = written.quantized;
    }
  }
}

}  // namespace octet
