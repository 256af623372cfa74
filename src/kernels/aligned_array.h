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

/// Storage that grows to what was asked for most, and starts at a cache line. Its contents are lost when it grows.
template <class T>
class AlignedScratch {
 public:
  T* reserve(int64_t count) {
    if (count > size_) {
      data_ = aligned_zeros<T>(count);
      size_ = count;
    }
    return data();
  }
  T* data() const { return data_.get(); }

 private:
  std::shared_ptr<T[]> data_;
  int64_t size_ = 0;
};

}  // namespace octet::kernels
