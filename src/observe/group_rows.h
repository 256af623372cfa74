#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace octet {

/// Groups of `group_size` elements of the last dimension, each a row: [..., k] becomes [... * groups, group_size], where groups
/// is k / group_size rounded up and zeros fill the last one of each k.
/// @param values  of at least one dimension
at::Tensor groups_as_rows(const at::Tensor& values, int64_t group_size);

}  // namespace octet
