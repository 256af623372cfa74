#include <tensor/activation_memory.h>

#include <ATen/EmptyTensor.h>
#include <c10/core/Allocator.h>
#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/alloc_cpu.h>

#include <algorithm>
#include <map>
#include <mutex>

namespace octet {
namespace {

/// Blocks that are free, by size.
class Pool {
 public:
  /// Never destroyed: tensors may outlive everything that has a destructor.
  static Pool& instance() {
    static Pool* const pool = new Pool;
    return *pool;
  }

  /// @param bytes  becomes the size of the block, which may be larger
  void* take(size_t& bytes) {
    {
      const std::lock_guard lock(mutex_);
      const auto smallest = free_.lower_bound(bytes);
      if (smallest != free_.end()) {
        void* const block = smallest->second;
        bytes = smallest->first;
        free_.erase(smallest);
        kept_ -= bytes;
        count(bytes);
        return block;
      }
      ++allocated_;
      count(bytes);
    }
    return c10::alloc_cpu(bytes);
  }

  void give_back(void* block, size_t bytes) {
    std::multimap<size_t, void*> surplus;
    {
      const std::lock_guard lock(mutex_);
      in_use_ -= bytes;
      kept_ += bytes;
      free_.emplace(bytes, block);
      // The smallest go first: a larger one serves whatever they could.
      while (kept_ > peak_) {
        kept_ -= free_.begin()->first;
        surplus.insert(free_.extract(free_.begin()));
      }
    }
    for (const auto& [size, memory] : surplus) c10::free_cpu(memory);
  }

  ActivationMemory statistics() {
    const std::lock_guard lock(mutex_);
    return {static_cast<int64_t>(in_use_), static_cast<int64_t>(peak_), static_cast<int64_t>(kept_), allocated_};
  }

 private:
  void count(size_t bytes) {
    in_use_ += bytes;
    peak_ = std::max(peak_, in_use_);
  }

  std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  size_t in_use_ = 0, peak_ = 0, kept_ = 0;
  int64_t allocated_ = 0;
};

struct Block {
  void* memory;
  size_t bytes;
};

void delete_block(void* context) {
  const auto* const block = static_cast<Block*>(context);
  Pool::instance().give_back(block->memory, block->bytes);
  delete block;
}

class PoolAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t n) override {
    if (n == 0) return {nullptr, nullptr, nullptr, at::kCPU};
    // Whole pages: layers whose sizes differ a little use the same block.
    constexpr size_t kPage = 4096;
    size_t bytes = (n + kPage - 1) / kPage * kPage;
    void* const memory = Pool::instance().take(bytes);
    return {memory, new Block{memory, bytes}, delete_block, at::kCPU};
  }
  void copy_data(void* to, const void* from, size_t count) const override { default_copy_data(to, from, count); }
};

c10::Allocator* allocator() {
  static PoolAllocator* const allocator = new PoolAllocator;
  return allocator;
}

const c10::DispatchKeySet kCpu(c10::DispatchKey::CPU);

}  // namespace

at::Tensor empty_activation(at::IntArrayRef sizes, at::ScalarType dtype, std::optional<at::MemoryFormat> memory_format) {
  return at::detail::empty_generic(sizes, allocator(), kCpu, dtype, memory_format);
}

at::Tensor empty_activation_like(const at::Tensor& tensor, at::ScalarType dtype) {
  if (!tensor.is_non_overlapping_and_dense()) return empty_activation(tensor.sizes(), dtype, tensor.suggest_memory_format());
  return at::detail::empty_strided_generic(tensor.sizes(), tensor.strides(), allocator(), kCpu, dtype);
}

ActivationMemory activation_memory() { return Pool::instance().statistics(); }

}  // namespace octet
