// Arithmetic between two tensors. Its result has a scale and a zero point of its own, which an op without such arguments can't
// know: what has seen it during calibration does.
#include <octet/tensor/quantized_tensor.h>

#include <tensor/op_table.h>

namespace octet {
namespace {

[[noreturn]] void refuse_for(OpCall& call, std::string_view method) {
  for (size_t i = 0; i < call.size(); ++i) {
    if (!call[i].isTensor() || is_quantized(call[i].toTensor())) continue;
    refuse("argument ", call.argument_name(i), " is a plain ", call[i].toTensor().scalar_type(),
           " tensor. To stay with integers, quantize it, with an octet::nn::QuantStub or octet::quantize_per_tensor(), and call ",
           method, "() of an octet::nn::FloatFunctional");
  }
  refuse("the result of two quantized tensors needs a scale and zero point of its own. To stay with integers, call ", method,
         "() of an octet::nn::FloatFunctional, which has observed them");
}

void add(OpCall& call) { refuse_for(call, "add"); }

void mul(OpCall& call) { refuse_for(call, "mul"); }

void matmul(OpCall& call) { refuse_for(call, "matmul"); }

}  // namespace

std::span<const OpRow> arithmetic_ops() {
  static constexpr OpRow kRows[] = {
      {"add.Tensor", add},
      {"mul.Tensor", mul},
      {"mm", matmul},
      {"bmm", matmul},
  };
  return kRows;
}

}  // namespace octet
