// Ops that only compare: as the scale is positive, the integers are in the order of the real numbers.
#include <tensor/integers.h>
#include <tensor/on_integers.h>
#include <tensor/op_table.h>

#include <ATen/ops/clamp.h>
#include <ATen/ops/clamp_min.h>

namespace octet {
namespace {

void relu(OpCall& call) { call.answer_integers(at::clamp_min(call.integers(), call.quantizer().zero_point)); }

void relu6(OpCall& call) {
  call.answer_integers(at::clamp(call.integers(), call.quantizer().zero_point, quantize_value(6, call.quantizer())));
}

void hardtanh(OpCall& call) {
  const int64_t min = quantize_value(call.argument("min_val").toScalar().toDouble(), call.quantizer());
  const int64_t max = quantize_value(call.argument("max_val").toScalar().toDouble(), call.quantizer());
  call.answer_integers(at::clamp(call.integers(), min, max));
}

}  // namespace

std::span<const OpRow> order_ops() {
  static constexpr OpRow kRows[] = {
      {"relu", relu},
      {"relu6", relu6},
      {"hardtanh", hardtanh},
      {"clamp", on_integers_with_values},
      {"clamp_min", on_integers_with_values},
      {"clamp_max", on_integers_with_values},
      {"maximum", on_integers},
      {"minimum", on_integers},
      {"max", on_integers},
      {"max.dim", on_integers},
      {"min", on_integers},
      {"min.dim", on_integers},
      {"amax", on_integers},
      {"amin", on_integers},
      {"aminmax", on_integers},
      {"argmax", on_integers},
      {"argmin", on_integers},
      {"sort", on_integers},
      {"sort.stable", on_integers},
      {"argsort", on_integers},
      {"argsort.stable", on_integers},
      {"topk", on_integers},
      {"kthvalue", on_integers},
      {"median", on_integers},
      {"median.dim", on_integers},
      {"cummax", on_integers},
      {"cummin", on_integers},
      {"upsample_nearest1d", on_integers_as_floats},
      {"upsample_nearest2d", on_integers_as_floats},
      {"upsample_nearest3d", on_integers_as_floats},
      {"_upsample_nearest_exact1d", on_integers_as_floats},
      {"_upsample_nearest_exact2d", on_integers_as_floats},
      {"_upsample_nearest_exact3d", on_integers_as_floats},
  };
  return kRows;
}

}  // namespace octet
