#include <octet/tensor/quantized_tensor.h>

#include <tensor/channel_axis.h>
#include <tensor/float_computation.h>
#include <tensor/integers.h>
#include <tensor/on_integers.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace octet {
namespace {

// Plain tensors say where to read, never what: they stay as they are.
constexpr std::array<std::string_view, 4> kPositions{"index", "indices", "mask", "condition"};

// Scalars that are real numbers among the quantized values.
constexpr std::array<std::string_view, 5> kValues{"value", "min", "max", "min_val", "max_val"};

template <size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Replaces the tensors of one argument, a tensor or a list, by what `replace` makes of them.
template <class Replace>
c10::IValue replace_tensors(const c10::IValue& value, const Replace& replace) {
  if (value.isTensor() && value.toTensor().defined()) return replace(value.toTensor());
  if (!value.isTensorList()) return value;
  c10::List<at::Tensor> list;
  for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(replace(tensor));
  return list;
}

void check_operands(OpCall& call) {
  for (size_t i = 0; i < call.size(); ++i) {
    const bool is_position = is_one_of(call.argument_name(i), kPositions);
    replace_tensors(call[i], [&](const at::Tensor& tensor) {
      if (is_position && is_quantized(tensor)) refuse("argument ", call.argument_name(i), " is quantized");
      if (is_position) return tensor;
      if (!is_quantized(tensor)) refuse("argument ", call.argument_name(i), " is a plain ", tensor.scalar_type(), " tensor");
      if (quantizer(tensor) != call.quantizer()) {
        refuse("argument ", call.argument_name(i), " has another scale, zero point or dtype than the first quantized tensor");
      }
      return tensor;
    });
  }
}

// The quantizers of the results. Per channel, numbered channels go through the same op and show where they end up.
class ResultQuantizers {
 public:
  explicit ResultQuantizers(OpCall& call) : quantizer_(call.impl().quantizer()) {
    if (!quantizer_->is_per_channel()) return;
    torch::jit::Stack stack;
    for (size_t i = 0; i < call.size(); ++i) {
      stack.push_back(replace_tensors(
          call[i], [&](const at::Tensor& tensor) { return is_quantized(tensor) ? channel_numbers(tensor) : tensor; }));
    }
    call.op().callBoxed(&stack);
    for (const c10::IValue& result : stack) {
      replace_tensors(result, [&](const at::Tensor& numbers) {
        per_channel_.push_back(quantizer_of_channels(numbers, *quantizer_));
        return numbers;
      });
    }
  }

  /// Of the next result that is quantized.
  std::shared_ptr<const Quantizer> next() { return per_channel_.empty() ? quantizer_ : per_channel_.at(next_++); }

 private:
  std::shared_ptr<const Quantizer> quantizer_;
  std::vector<std::shared_ptr<const Quantizer>> per_channel_;
  size_t next_ = 0;
};

void run_on_integers(OpCall& call, std::optional<at::ScalarType> computed_as) {
  check_operands(call);
  ResultQuantizers quantizers(call);
  const auto storage = call.integers().scalar_type();
  const auto computed = computed_as.value_or(storage);
  const bool in_place = call.in_place();
  const bool is_view = returns_a_view(call);
  for (size_t i = 0; i < call.size(); ++i) {
    call[i] = replace_tensors(call[i], [&](const at::Tensor& tensor) {
      if (!is_quantized(tensor)) return tensor;
      // transpose_ changes the very tensor that it is given, which a detached copy of ours may hold too.
      return in_place ? octet::int_repr(tensor).alias() : octet::int_repr(tensor).to(computed);
    });
  }
  call.run();
  for (size_t i = 0; i < call.results(); ++i) {
    call.result(i) = replace_tensors(call.result(i), [&](const at::Tensor& tensor) {
      if (tensor.scalar_type() != computed) return tensor;
      if (is_view) return wrap_view(call.impl(), tensor, quantizers.next());
      if (!in_place) return wrap(tensor.to(storage), quantizers.next());
      impl_of(call.quantized(), call.name()).set_integers(tensor, quantizers.next());
      return call.quantized();
    });
  }
}

}  // namespace

void on_integers(OpCall& call) { run_on_integers(call, std::nullopt); }

void on_integers_with_values(OpCall& call) {
  check_operands(call);
  for (size_t i = 0; i < call.size(); ++i) {
    if (call[i].isScalar() && is_one_of(call.argument_name(i), kValues)) {
      call[i] = quantize_value(call[i].toScalar().toDouble(), call.quantizer());
    }
  }
  run_on_integers(call, std::nullopt);
}

void on_integers_as_floats(OpCall& call) { run_on_integers(call, call.quantizer().dtype == qint32 ? at::kDouble : at::kFloat); }

}  // namespace octet
