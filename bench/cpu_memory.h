// How much memory LibTorch's tensors on the CPU take.
#pragma once

#include <cstdint>

namespace bench {

/// Counts the bytes of all tensors allocated on the CPU while it lives; one at a time. Tensors may outlive it. Not thread-safe.
class CpuMemoryCounter {
 public:
  CpuMemoryCounter();
  ~CpuMemoryCounter();
  CpuMemoryCounter(const CpuMemoryCounter&) = delete;
  CpuMemoryCounter& operator=(const CpuMemoryCounter&) = delete;

  /// Of tensors that were allocated since the counter was made: those that are still there, and the most at any time.
  int64_t bytes() const;
  int64_t peak_bytes() const;
};

}  // namespace bench
