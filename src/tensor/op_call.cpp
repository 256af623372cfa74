#include <octet/tensor/error.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/op_call.h>

#include <algorithm>

namespace octet {
namespace {

// An optional element (of index.Tensor's indices) may be None.
const at::Tensor* tensor_in(const c10::IValue& value) { return value.isTensor() ? &value.toTensor() : nullptr; }

at::Tensor first_quantized(const torch::jit::Stack& stack, size_t first) {
  for (size_t i = first; i < stack.size(); ++i) {
    const c10::IValue& value = stack[i];
    if (const auto* tensor = tensor_in(value); tensor && is_quantized(*tensor)) return *tensor;
    if (!value.isList()) continue;
    for (const c10::IValue& element : value.toListRef()) {
      if (const auto* tensor = tensor_in(element); tensor && is_quantized(*tensor)) return *tensor;
    }
  }
  fail("octet: an op was called on the quantized key without a quantized tensor");
}

}  // namespace

OpCall::OpCall(const c10::OperatorHandle& op, torch::jit::Stack& stack)
    : op_(op), stack_(stack), first_(stack.size() - op.schema().arguments().size()), quantized_(first_quantized(stack, first_)) {}

c10::IValue& OpCall::argument(std::string_view name) {
  for (size_t i = 0; i < size(); ++i) {
    if (argument_name(i) == name) return (*this)[i];
  }
  fail("octet: ", this->name(), " has no argument \"", name, "\"");
}

bool OpCall::writes(size_t i) const {
  const auto* alias = schema().arguments()[i].alias_info();
  if (!alias) return false;
  const auto& elements = alias->containedTypes();  // of a list, as _foreach_add_ has it
  return alias->isWrite() || std::any_of(elements.begin(), elements.end(), [](const auto& element) { return element.isWrite(); });
}

at::Tensor OpCall::try_with(const at::Tensor& instead) {
  torch::jit::Stack stack;
  for (size_t i = 0; i < size(); ++i) {
    const auto* tensor = tensor_in((*this)[i]);
    stack.push_back(tensor && tensor->is_same(quantized_) ? c10::IValue(instead) : (*this)[i]);
  }
  op_.callBoxed(&stack);
  return stack.front().toTensor();
}

void OpCall::answer(c10::IValue value) {
  torch::jit::drop(stack_, size());
  stack_.push_back(std::move(value));
}

void OpCall::answer_integers(at::Tensor integers) {
  if (!in_place()) return answer(wrap(std::move(integers), impl().quantizer()));
  this->integers().copy_(integers);
  answer(quantized_);
}

}  // namespace octet
