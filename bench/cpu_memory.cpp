#include "cpu_memory.h"

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>

namespace bench {
namespace {

std::atomic<int64_t> live_bytes{0}, most_bytes{0};

/// Before each allocation stands its size; so much space keeps the alignment of what follows.
constexpr size_t kHeader = 64;

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) override {
    auto* const base = static_cast<std::byte*>(source().raw_allocate(size + kHeader));
    const auto bytes = static_cast<int64_t>(size);
    std::memcpy(base, &bytes, sizeof bytes);
    const int64_t live = live_bytes += bytes;
    most_bytes = std::max(most_bytes.load(), live);
    void* const data = base + kHeader;
    return {data, data, &free, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free; }
  void copy_data(void* destination, const void* origin, size_t count) const override {
    default_copy_data(destination, origin, count);
  }

 private:
  static c10::Allocator& source() { return *c10::GetDefaultCPUAllocator(); }

  static void free(void* data) {
    if (!data) return;
    auto* const base = static_cast<std::byte*>(data) - kHeader;
    int64_t bytes = 0;
    std::memcpy(&bytes, base, sizeof bytes);
    live_bytes -= bytes;
    source().raw_deallocate(base);
  }
};

/// It stays: tensors that it made may live on.
CountingAllocator& counting_allocator() {
  static CountingAllocator allocator;
  return allocator;
}

c10::Allocator* former = nullptr;

}  // namespace

CpuMemoryCounter::CpuMemoryCounter() {
  CountingAllocator& counting = counting_allocator();
  former = c10::GetCPUAllocator();
  c10::SetCPUAllocator(&counting, /*priority=*/1);
  live_bytes = most_bytes = 0;
}

CpuMemoryCounter::~CpuMemoryCounter() { c10::SetCPUAllocator(former, /*priority=*/1); }

int64_t CpuMemoryCounter::bytes() const { return live_bytes; }
int64_t CpuMemoryCounter::peak_bytes() const { return most_bytes; }

}  // namespace bench
