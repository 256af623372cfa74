#pragma once

#include <tensor/op_call.h>

namespace octet {

/// Whether a result of the op shares memory with an argument that the op does not write to.
bool returns_a_view(const OpCall& call);

/// Runs the op on dequantized arguments. What it writes to is quantized again into the integers it came from.
void compute_in_float(OpCall& call);

}  // namespace octet
