// Ops whose answer is a truth value, a place or one number: it is that of the dequantized tensors, and exact.
#include <tensor/float_computation.h>
#include <tensor/op_table.h>

namespace octet {
namespace {

void query(OpCall& call) {
  if (call.in_place()) refuse("the answer of a comparison can't be written into a quantized tensor");
  compute_in_float(call);
}

}  // namespace

std::span<const OpRow> query_ops() {
  constexpr auto kAll = Accepts::packed;
  static constexpr OpRow kRows[] = {
      {"equal", query, kAll},
      {"allclose", query, kAll},
      {"isclose", query, kAll},
      {"eq.Scalar", query, kAll},
      {"eq.Tensor", query, kAll},
      {"ne.Scalar", query, kAll},
      {"ne.Tensor", query, kAll},
      {"lt.Scalar", query, kAll},
      {"lt.Tensor", query, kAll},
      {"le.Scalar", query, kAll},
      {"le.Tensor", query, kAll},
      {"gt.Scalar", query, kAll},
      {"gt.Tensor", query, kAll},
      {"ge.Scalar", query, kAll},
      {"ge.Tensor", query, kAll},
      {"is_same_size", query, kAll},
      {"isnan", query, kAll},
      {"isinf", query, kAll},
      {"isfinite", query, kAll},
      {"count_nonzero", query, kAll},
      {"count_nonzero.dim_IntList", query, kAll},
      {"nonzero", query, kAll},
      {"any", query, kAll},
      {"any.dim", query, kAll},
      {"all", query, kAll},
      {"all.dim", query, kAll},
      {"is_nonzero", query, kAll},
      {"_local_scalar_dense", query, kAll},
  };
  return kRows;
}

}  // namespace octet
