// What at::Tensor's own methods ask of a quantized tensor, copies of it as a whole, and conversions.
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/op_table.h>

#include <optional>

namespace octet {
namespace {

void clone(OpCall& call) {
  const auto memory_format = call.argument("memory_format").toOptional<at::MemoryFormat>();
  const bool packed = call.quantizer().is_packed();
  if (packed && memory_format.value_or(at::MemoryFormat::Preserve) >= at::MemoryFormat::ChannelsLast) {
    refuse("packed tensors are contiguous only");
  }
  const at::Tensor integers = call.integers().clone(packed ? std::nullopt : memory_format);
  call.answer(wrap(integers, call.impl().quantizer(), call.impl().sizes()));
}

// A new tensor on the same integers; detach_ has nothing to detach.
void alias(OpCall& call) {
  if (call.in_place()) return call.answer(call.quantized());
  call.answer(wrap_view(call.impl(), call.integers().alias(), call.impl().quantizer()));
}

// To float32 on the CPU is a copy. To float64 gives the values: it is what printing asks for. All else would lose either the
// integers or the values unseen; autocast tries it.
void to_copy(OpCall& call) {
  const auto dtype = call.argument("dtype").toOptional<at::ScalarType>().value_or(at::kFloat);
  const auto device = call.argument("device").toOptional<at::Device>().value_or(at::Device(at::kCPU));
  if (!device.is_cpu()) refuse("quantized tensors live on the CPU, not on ", device);
  if (dtype == at::kDouble) return call.answer(octet::dequantize(call.quantized()).to(at::kDouble));
  if (dtype != at::kFloat) refuse("a quantized tensor has no conversion to ", dtype);
  const at::Tensor copy = call.quantized().clone();
  const auto memory_format = call.argument("memory_format").toOptional<at::MemoryFormat>();
  call.answer(memory_format ? copy.contiguous(*memory_format) : copy);
}

void answer_dequantized(OpCall& call) { call.answer(octet::dequantize(call.quantized())); }

void answer_int_repr(OpCall& call) { call.answer(call.integers().clone()); }

void answer_scale(OpCall& call) { call.answer(octet::q_scale(call.quantized())); }

void answer_zero_point(OpCall& call) { call.answer(octet::q_zero_point(call.quantized())); }

void answer_scales(OpCall& call) { call.answer(octet::q_per_channel_scales(call.quantized())); }

void answer_zero_points(OpCall& call) { call.answer(octet::q_per_channel_zero_points(call.quantized())); }

void answer_axis(OpCall& call) { call.answer(octet::q_per_channel_axis(call.quantized())); }

}  // namespace

std::span<const OpRow> conversion_ops() {
  constexpr auto kAll = Accepts::packed;
  static constexpr OpRow kRows[] = {
      {"clone", clone, kAll},
      {"alias", alias, kAll},
      {"detach", alias, kAll},
      {"_to_copy", to_copy, kAll},
      {"dequantize.self", answer_dequantized, kAll},
      {"int_repr", answer_int_repr, kAll},
      {"q_scale", answer_scale, kAll},
      {"q_zero_point", answer_zero_point, kAll},
      {"q_per_channel_scales", answer_scales, kAll},
      {"q_per_channel_zero_points", answer_zero_points, kAll},
      {"q_per_channel_axis", answer_axis, kAll},
  };
  return kRows;
}

}  // namespace octet
