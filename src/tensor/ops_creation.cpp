// New tensors after the model of a quantized one: they have its quantizer, and hold the integer of the given real number.
#include <tensor/integers.h>
#include <tensor/op_table.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <cmath>
#include <optional>

namespace octet {
namespace {

void check_options(OpCall& call) {
  const auto dtype = call.argument("dtype").toOptional<at::ScalarType>().value_or(at::kFloat);
  const auto device = call.argument("device").toOptional<at::Device>().value_or(at::Device(at::kCPU));
  if (dtype != at::kFloat) refuse("its result would be quantized, as its model is, not ", dtype);
  if (!device.is_cpu()) refuse("quantized tensors live on the CPU, not on ", device);
}

at::Tensor empty_integers(OpCall& call, bool like) {
  if (!like) return at::empty(call.argument("size").toIntVector(), call.integers().options());
  return at::empty_like(call.integers(), {}, call.argument("memory_format").toOptional<at::MemoryFormat>());
}

int64_t integer_of(double value, const Quantizer& quantizer) {
  const int64_t integer = quantize_value(value, quantizer);
  const double stands_for = static_cast<double>(integer - quantizer.zero_point) * quantizer.scale;
  if (std::abs(stands_for - value) > quantizer.scale * 0.501) {
    refuse("the value ", value, " is beyond what the scale ", quantizer.scale, " and zero point ", quantizer.zero_point, " of ",
           quantizer.dtype, " can hold");
  }
  return integer;
}

void answer_filled(OpCall& call, bool like, std::optional<double> value) {
  check_options(call);
  const auto integer = value ? std::optional(integer_of(*value, call.quantizer())) : std::nullopt;
  const at::Tensor integers = empty_integers(call, like);
  if (integer) integers.fill_(*integer);
  call.answer(wrap(integers, call.impl().quantizer()));
}

// Whether the sizes are those of the model, or given.
constexpr bool kLike = true;
constexpr bool kNew = false;

template <bool like>
void empty(OpCall& call) {
  answer_filled(call, like, std::nullopt);
}

template <bool like, int value>
void constant(OpCall& call) {
  answer_filled(call, like, value);
}

template <bool like>
void full(OpCall& call) {
  answer_filled(call, like, call.argument("fill_value").toScalar().toDouble());
}

}  // namespace

std::span<const OpRow> creation_ops() {
  static constexpr OpRow kRows[] = {
      {"empty_like", empty<kLike>},    {"zeros_like", constant<kLike, 0>}, {"ones_like", constant<kLike, 1>},
      {"full_like", full<kLike>},      {"new_empty", empty<kNew>},         {"new_zeros", constant<kNew, 0>},
      {"new_ones", constant<kNew, 1>}, {"new_full", full<kNew>},
  };
  return kRows;
}

}  // namespace octet
