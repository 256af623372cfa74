// The one table that decides what each aten op does with a quantized tensor.
#pragma once

#include <tensor/op_call.h>

#include <ATen/core/operator_name.h>

#include <span>
#include <string_view>
#include <vector>

namespace octet {

/// Which quantized tensors a handler takes; each also takes those before it. For others the op counts as not in the table.
enum class Accepts : uint8_t { per_tensor, per_channel, packed };

/// One op, named as in native_functions.yaml without "aten::" ("transpose.int"), and what it does with quantized tensors.
/// A row also serves the op's in-place form of the same overload ("relu" serves "relu_").
struct OpRow {
  std::string_view op;
  void (*handler)(OpCall& call);
  Accepts accepts = Accepts::per_tensor;
};

// The rows, by what they do. The comment of each handler says what its ops have in common.
std::span<const OpRow> layout_ops();
std::span<const OpRow> order_ops();
std::span<const OpRow> pooling_ops();
std::span<const OpRow> averaging_ops();
std::span<const OpRow> interpolation_ops();
std::span<const OpRow> unary_ops();
std::span<const OpRow> activation_ops();
std::span<const OpRow> arithmetic_ops();
std::span<const OpRow> joining_ops();
std::span<const OpRow> creation_ops();
std::span<const OpRow> conversion_ops();
std::span<const OpRow> query_ops();

/// All of them.
const std::vector<std::span<const OpRow>>& all_ops();

/// The row that serves an op of the aten namespace, or null.
const OpRow* find_row(const c10::OperatorName& op);

/// Registers a kernel for every aten op, with the first call; further ones return at once. Thread-safe. Called for each new
/// quantized tensor, so that it depends neither on the order of static initializers nor on the linker keeping them.
void register_op_table();

}  // namespace octet
