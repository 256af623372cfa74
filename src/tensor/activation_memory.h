#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/MemoryFormat.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>

namespace octet {

/// An uninitialized CPU tensor for the result of a quantized operation. Its memory is that of an earlier result that is no longer
/// used, where there is one large enough: fresh memory from the system costs a page fault for every 4 KiB, which takes about as
/// long as a fast layer. Any thread may call this, and may free the tensor.
///
/// What is kept for later is never more than was once in use at the same time; what exceeds that is given back to the system.
at::Tensor empty_activation(at::IntArrayRef sizes, at::ScalarType dtype,
                            std::optional<at::MemoryFormat> memory_format = std::nullopt);

/// The same with the sizes of another, and its strides if it is dense.
at::Tensor empty_activation_like(const at::Tensor& tensor, at::ScalarType dtype);

struct ActivationMemory {
  int64_t in_use;     ///< bytes of tensors that exist
  int64_t peak;       ///< the most that was in use at once
  int64_t kept;       ///< bytes that wait for later tensors
  int64_t allocated;  ///< how many times memory was taken from the system
};

/// Of the whole process.
ActivationMemory activation_memory();

}  // namespace octet
