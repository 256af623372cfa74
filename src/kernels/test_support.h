#pragma once

#include <octet/kernels/isa.h>
#include <octet/kernels/parallel.h>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kernels/kernel_table.h"

namespace octet::kernels::test {

/// Runs the check once for each ISA that runs here, and makes sure that this ISA is the one that ran.
template <class Check>
void for_each_isa(const Check& check) {
  for (const Isa isa : available_isas()) {
    SCOPED_TRACE(std::string(name(isa)));
    const ScopedIsa forced(isa);
    const uint64_t before = served_calls(isa);
    check();
    EXPECT_GT(served_calls(isa), before) << "no kernel of this path ran";
    if (::testing::Test::HasFailure()) return;
  }
}

/// An entry of the kernels' tables that may be null: those of the ISAs that have one and run here.
template <class Kernels>
std::vector<const Kernels*> available_kernels(const Kernels* KernelTable::* entry) {
  std::vector<const Kernels*> all;
  for (const Isa isa : available_isas()) {
    const ScopedIsa forced(isa);
    if (kernels().*entry) all.push_back(kernels().*entry);
  }
  return all;
}

/// An array whose end touches a page that may not be accessed.
template <class T>
class GuardedArray {
 public:
  explicit GuardedArray(int64_t count) : count_(count) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    const size_t usable = (bytes + page - 1) / page * page;
    mapped_bytes_ = usable + page;
    mapping_ = static_cast<char*>(mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (mapping_ == MAP_FAILED || mprotect(mapping_ + usable, page, PROT_NONE) != 0)
      throw std::runtime_error("no guarded memory");
    data_ = reinterpret_cast<T*>(mapping_ + usable - bytes);
  }
  explicit GuardedArray(const std::vector<T>& values) : GuardedArray(static_cast<int64_t>(values.size())) {
    std::copy(values.begin(), values.end(), data_);
  }
  ~GuardedArray() { munmap(mapping_, mapped_bytes_); }
  GuardedArray(const GuardedArray&) = delete;
  GuardedArray& operator=(const GuardedArray&) = delete;

  T* data() const { return data_; }
  int64_t size() const { return count_; }
  T& operator[](int64_t i) const { return data_[i]; }
  std::vector<T> values() const { return {data_, data_ + count_}; }

 private:
  int64_t count_;
  size_t mapped_bytes_;
  char* mapping_;
  T* data_;
};

using Random = std::mt19937;

template <class T>
std::vector<T> random_integers(Random& random, int64_t count, int low, int high) {
  std::uniform_int_distribution<int> distribution(low, high);
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(distribution(random));
  return values;
}

/// Weights as networks have them, quantized for each channel: of a normal distribution.
inline std::vector<int8_t> normal_weights(Random& random, int64_t count) {
  std::normal_distribution<float> normal(0.0f, 35.0f);
  std::vector<int8_t> values(count);
  for (int8_t& value : values) value = static_cast<int8_t>(std::clamp(std::nearbyint(normal(random)), -128.0f, 127.0f));
  return values;
}

inline std::vector<float> random_floats(Random& random, int64_t count, float low, float high) {
  std::uniform_real_distribution<float> distribution(low, high);
  std::vector<float> values(count);
  for (float& value : values) value = distribution(random);
  return values;
}

/// The bits of the values, all NaNs being one: what "the same result" means here.
inline std::vector<uint32_t> bits(std::span<const float> values) {
  std::vector<uint32_t> result;
  for (const float value : values) result.push_back(std::isnan(value) ? 0x7fc00000u : std::bit_cast<uint32_t>(value));
  return result;
}

/// A ParallelFor that gives each item to one of three threads, the least even way to cut a range.
inline void three_threads_for(int64_t begin, int64_t end, int64_t /*grain_size*/, RangeBody body) {
  std::vector<std::thread> threads;
  for (int64_t first = begin; first < std::min(begin + 3, end); ++first) {
    threads.emplace_back([=] {
      for (int64_t i = first; i < end; i += 3) body(i, i + 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

/// The text of the error that `call` throws.
template <class Error = std::invalid_argument, class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace octet::kernels::test
