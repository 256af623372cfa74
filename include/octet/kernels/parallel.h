#pragma once

#include <cstdint>

namespace octet::kernels {

/// A reference to a callable that processes the items [begin, end). It does not own the callable.
class RangeBody {
 public:
  template <class Callable>
  RangeBody(const Callable& callable)  // NOLINT: implicit, so that a lambda can be passed as it is
      : callable_(&callable),
        call_([](const void* object, int64_t begin, int64_t end) { (*static_cast<const Callable*>(object))(begin, end); }) {}
  void operator()(int64_t begin, int64_t end) const { call_(callable_, begin, end); }

 private:
  const void* callable_;
  void (*call_)(const void*, int64_t, int64_t);
};

/// How a kernel spreads its work: calls `body` on ranges that together are [begin, end) and do not overlap, from any
/// threads, and returns when all are done. Ranges of fewer than `grain_size` items are not worth a thread.
/// at::parallel_for has this contract. The results never depend on how the range is cut.
using ParallelFor = void (*)(int64_t begin, int64_t end, int64_t grain_size, RangeBody body);

/// The ParallelFor that stays in the calling thread.
inline void serial_for(int64_t begin, int64_t end, int64_t /*grain_size*/, RangeBody body) {
  if (begin < end) body(begin, end);
}

}  // namespace octet::kernels
