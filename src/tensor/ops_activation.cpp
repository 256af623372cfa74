// Activations that are no function of one number alone.
#include <octet/tensor/functional.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/integers.h>
#include <tensor/op_table.h>
#include <tensor/quantizer_of_results.h>

#include <ATen/ops/_prelu_kernel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>

namespace octet {
namespace {

void check_bytes(OpCall& call) {
  if (info(call.quantizer().dtype).bits != 8) refuse("it is computed for 8-bit dtypes, not for ", call.quantizer().dtype);
}

// In 1/256 from the lowest integer on: all probabilities but 1 have their place. It is what torch.ao fixes for softmax.
void softmax(OpCall& call) {
  check_bytes(call);
  if (call.argument("half_to_float").toBool()) refuse("it has no conversion from half");
  const Quantizer to = zero_to_one(call.quantizer().dtype);
  call.answer(octet::quantize(softmax_values(call.quantized(), call.argument("dim").toInt()), to));
}

// The scale and zero point are those of all results that the argument's 256 integers can have.
void prelu(OpCall& call) {
  check_bytes(call);
  if (!is_quantized(call.argument("self").toTensor())) refuse("its input is a plain tensor, and its weight quantized");
  const at::Tensor weight = octet::dequantize(call.argument("weight").toTensor().detach());
  const Quantizer& own = call.quantizer();
  const DTypeInfo& range = info(own.dtype);
  const auto scale = static_cast<float>(own.scale);
  const at::Tensor below = weight.flatten() * (static_cast<float>(range.quant_min - own.zero_point) * scale);
  const at::Tensor highest = at::full({1}, static_cast<float>(range.quant_max - own.zero_point) * scale);
  const Quantizer quantizer = quantizer_of_results(at::cat({below, highest}), own.dtype);
  call.answer(octet::quantize(at::_prelu_kernel(octet::dequantize(call.quantized()), weight), quantizer));
}

}  // namespace

std::span<const OpRow> activation_ops() {
  static constexpr OpRow kRows[] = {
      {"_softmax", softmax},
      {"_prelu_kernel", prelu},
  };
  return kRows;
}

}  // namespace octet
