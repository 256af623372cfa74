#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace octet::kernels {

/// Zeros that start at a cache line, as a panel's rows of 64 bytes should.
template <class T>
std::shared_ptr<T[]> aligned_zeros(int64_t count) {
  constexpr std::align_val_t kAlignment{64};
  T* data = static_cast<T*>(::operator new(static_cast<size_t>(count) * sizeof(T), kAlignment));
  std::fill_n(data, count, T{});
  return {data, [](T* p) { ::operator delete(p, kAlignment); }};
}

}  // namespace octet::kernels
