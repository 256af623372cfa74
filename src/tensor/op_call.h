// One call of an aten op with quantized tensors among its arguments, as the handlers of the op table see it.
#pragma once

#include <octet/tensor/quantizer.h>

#include <tensor/quantized_tensor_impl.h>

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace octet {

/// Why a handler does not take a call. It becomes the text of an octet::Error, or a fallback to float where a
/// FloatFallbackGuard allows one; so it must be thrown before anything is changed.
struct Refusal {
  std::string reason;
};

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  throw Refusal{c10::str(parts...)};
}

/// The arguments of a call, and how to answer it. Lives as long as the call.
class OpCall {
 public:
  OpCall(const c10::OperatorHandle& op, torch::jit::Stack& stack);

  const c10::OperatorHandle& op() const { return op_; }
  const c10::FunctionSchema& schema() const { return op_.schema(); }

  /// "aten::max_pool2d_with_indices", without the overload.
  const std::string& name() const { return schema().name(); }

  size_t size() const { return schema().arguments().size(); }
  c10::IValue& operator[](size_t i) { return stack_[first_ + i]; }
  const std::string& argument_name(size_t i) const { return schema().arguments()[i].name(); }

  /// The argument of that name.
  c10::IValue& argument(std::string_view name);

  /// Whether the op changes its argument i: the self of relu_, the out of an out= form.
  bool writes(size_t i) const;

  /// Whether this is relu_ and not relu.
  bool in_place() const { return size() > 0 && writes(0); }

  /// The first quantized tensor among the arguments or in their lists, which gives the results their quantizer.
  const at::Tensor& quantized() const { return quantized_; }
  const QuantizedTensorImpl& impl() const { return static_cast<QuantizedTensorImpl&>(*quantized_.unsafeGetTensorImpl()); }
  const at::Tensor& integers() const { return impl().integers(); }
  const Quantizer& quantizer() const { return *impl().quantizer(); }

  /// Answers with this one value. The references that the methods above return end here.
  void answer(c10::IValue value);

  /// Answers with a new quantized tensor of the call's own quantizer; in place: writes the integers into the quantized tensor
  /// and answers with that.
  void answer_integers(at::Tensor integers);

  /// What the op makes of this tensor in place of the call's quantized argument: its first result. The call stays as it is.
  at::Tensor try_with(const at::Tensor& instead);

  /// Runs the op, which may have been given other arguments meanwhile: they give way to the results.
  void run() { op_.callBoxed(&stack_); }

  /// After run(): the results. Before it: the stack holds the arguments.
  size_t results() const { return schema().returns().size(); }
  c10::IValue& result(size_t i) { return stack_[stack_.size() - results() + i]; }

 private:
  const c10::OperatorHandle& op_;
  torch::jit::Stack& stack_;
  size_t first_;
  at::Tensor quantized_;
};

}  // namespace octet
