#pragma once

#include <cstdint>

namespace octet::kernels {

/// A row-major matrix that someone else owns. Its extents are told by the function that takes it.
template <class T>
struct Matrix {
  T* data = nullptr;
  int64_t stride = 0;  ///< elements from one row to the next

  T* row(int64_t index) const { return data + index * stride; }
};

}  // namespace octet::kernels
