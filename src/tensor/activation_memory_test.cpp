#include <tensor/activation_memory.h>

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace octet {
namespace {

constexpr int64_t kLarge = 64 << 20;  // more than other tests leave in the pool

TEST(ActivationMemory, IsUsedAgain) {
  const void* first = nullptr;
  {
    const at::Tensor tensor = empty_activation({kLarge}, at::kByte);
    first = tensor.const_data_ptr();
  }
  const int64_t allocated = activation_memory().allocated;
  for (const int64_t size : {kLarge, kLarge - 4000, kLarge / 2}) {
    const at::Tensor tensor = empty_activation({size}, at::kByte);
    EXPECT_EQ(tensor.const_data_ptr(), first) << size;
  }
  EXPECT_EQ(activation_memory().allocated, allocated);
}

TEST(ActivationMemory, IsNotSharedByTensorsThatExistTogether) {
  const at::Tensor a = empty_activation({1000}, at::kByte), b = empty_activation({1000}, at::kByte);
  a.fill_(1);
  b.fill_(2);
  EXPECT_EQ(a.sum().item<int64_t>(), 1000);
  EXPECT_EQ(b.sum().item<int64_t>(), 2000);
  EXPECT_NE(a.const_data_ptr(), b.const_data_ptr());
}

TEST(ActivationMemory, BelongsToTheStorageNotToTheTensor) {
  at::Tensor view;
  {
    const at::Tensor tensor = empty_activation({10, 10}, at::kByte);
    tensor.fill_(7);
    view = tensor.select(0, 3);
  }
  const at::Tensor other = empty_activation({10, 10}, at::kByte);
  other.fill_(9);
  EXPECT_TRUE(view.eq(7).all().item<bool>());
}

TEST(ActivationMemory, KeepsNoMoreThanWasOnceInUse) {
  for (int64_t size = 1; size <= 64; ++size) {
    const at::Tensor tensor = empty_activation({size << 20}, at::kByte);  // each too large for what is kept
    const ActivationMemory memory = activation_memory();
    EXPECT_LE(memory.in_use, memory.peak);
  }
  const ActivationMemory memory = activation_memory();
  EXPECT_EQ(memory.in_use, 0);
  EXPECT_LE(memory.kept, memory.peak);
}

TEST(ActivationMemory, HasTheSizesStridesAndDtypeThatWereAskedFor) {
  const at::Tensor images = empty_activation({2, 3, 4, 5}, at::kChar, at::MemoryFormat::ChannelsLast);
  EXPECT_EQ(images.scalar_type(), at::kChar);
  EXPECT_EQ(images.sizes(), (std::vector<int64_t>{2, 3, 4, 5}));
  EXPECT_TRUE(images.is_contiguous(at::MemoryFormat::ChannelsLast));
  const at::Tensor like = empty_activation_like(images.transpose(0, 1), at::kFloat);
  EXPECT_EQ(like.scalar_type(), at::kFloat);
  EXPECT_EQ(like.strides(), images.transpose(0, 1).strides());
  EXPECT_EQ(empty_activation_like(images.slice(3, 0, 5, 2), at::kByte).sizes(), (std::vector<int64_t>{2, 3, 4, 3}));
  EXPECT_EQ(empty_activation({0, 4}, at::kByte).numel(), 0);
}

TEST(ActivationMemory, MayBeTakenAndFreedByAnyThread) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) {
        const at::Tensor tensor = empty_activation({1 + i % 7 * 3000}, at::kByte);
        tensor.fill_(t);
        ASSERT_TRUE(tensor.eq(t).all().item<bool>());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(activation_memory().in_use, 0);
}

}  // namespace
}  // namespace octet
