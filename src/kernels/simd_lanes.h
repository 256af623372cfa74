#pragma once

#include <cstdint>

namespace octet::kernels {

/// Which lanes of a vector a load or a store means. Lanes left out are not touched in memory and load as zero.
struct AllLanes {};
struct FirstLanes {
  int64_t count;  ///< 1 .. Simd::kLanes - 1
};

template <class Simd>
constexpr int64_t count(AllLanes) {
  return Simd::kLanes;
}
template <class Simd>
constexpr int64_t count(FirstLanes lanes) {
  return lanes.count;
}

/// Calls `body(i, lanes)` for each vector of a range of n elements, the last of which may be a part of one. Inlined always: else
/// the body would load its constants anew for each vector.
template <class Simd, class Body>
[[gnu::always_inline]] inline void for_each_vector(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + Simd::kLanes <= n; i += Simd::kLanes) body(i, AllLanes{});
  if constexpr (Simd::kLanes > 1) {
    if (i < n) body(i, FirstLanes{n - i});
  }
}

}  // namespace octet::kernels
