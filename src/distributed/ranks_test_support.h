// The ranks of a group as threads of the test, and as processes of its own.
#pragma once

#include <octet/distributed/local_ranks.h>
#include <octet/distributed/process_group.h>
#include <octet/observe/observer.h>

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace octet::distributed::test {

/// Runs body(group) in a thread for each rank, of one group. Returns the texts of what they threw by rank, empty for nothing.
inline std::vector<std::string> on_ranks(int ranks, const std::function<void(const ProcessGroup& group)>& body) {
  at::set_num_threads(1);
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const auto options = ProcessGroupOptions().timeout(std::chrono::seconds(60));
  std::vector<std::string> errors(ranks);
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        try {
          body(init_process_group(store, rank, ranks, options));
        } catch (const std::exception& error) {
          errors[rank] = error.what();
        }
      });
    }
  }
  return errors;
}

/// Runs the current test anew as the processes of one group, where LaunchEnvironment::read() tells it so.
inline int run_this_test_on_local_ranks(int ranks) {
  const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
  return run_local_ranks(ranks, {c10::str("--gtest_filter=", test->test_suite_name(), ".", test->name())});
}

/// A rank's rows of a batch.
inline at::Tensor rows_of(const at::Tensor& batch, const ProcessGroup& group) { return batch.chunk(group.size())[group.rank()]; }

/// The same dtype, sizes and bits.
inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         a.contiguous().view(-1).view(torch::kByte).equal(b.contiguous().view(-1).view(torch::kByte));
}

inline ::testing::AssertionResult same_state(const torch::nn::Module& actual, const torch::nn::Module& expected) {
  for (const auto& list : {std::pair(actual.named_parameters(), expected.named_parameters()),
                           std::pair(actual.named_buffers(), expected.named_buffers())}) {
    for (const auto& item : list.second) {
      const at::Tensor other = list.first[item.key()];
      if (!same_bits(other, item.value())) {
        return ::testing::AssertionFailure() << item.key() << " is " << other << "\ninstead of\n" << item.value();
      }
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace octet::distributed::test
