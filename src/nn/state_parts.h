// The state of a module that has modules inside.
#pragma once

#include <octet/nn/implementation.h>

#include <string>

namespace octet::nn {

/// Adds the tensors of `part` under names that begin with `prefix`.
void append_part(StateDict& state, const std::string& prefix, const StateDict& part);

/// The inverse: the tensors whose names begin with `prefix`, without it.
StateDict part_of(const StateDict& state, const std::string& prefix);

}  // namespace octet::nn
