// Handlers that hand the plain integers to the op itself: what moves elements, and what compares them.
#pragma once

#include <tensor/op_call.h>

namespace octet {

/// Runs the op on the integers in place of the quantized tensors. Results that have the integers' dtype are quantized like the
/// call's tensor; others (indices) are plain. For per-channel tensors the axis is found again in the result.
/// Refuses quantized tensors that differ in their quantizers, and plain tensors that are neither indices nor masks.
void on_integers(OpCall& call);

/// The same, with the call's real-valued bounds and fill values (Scalars named value, min, max and the like) quantized.
void on_integers_with_values(OpCall& call);

/// The same for ops whose ATen kernels know only floating-point numbers: they get the integers as such, and exactly.
void on_integers_as_floats(OpCall& call);

}  // namespace octet
