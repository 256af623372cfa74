// Processes that are threads: their reductions meet at a barrier.
#pragma once

#include <octet/observe/observer.h>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <barrier>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace octet::test {

/// Where the reductions of all ranks meet.
struct RankMeeting {
  explicit RankMeeting(int ranks) : barrier(ranks), contributions(ranks) {}

  std::barrier<> barrier;
  std::vector<at::Tensor> contributions;
};

/// The reduction of one rank. Remembers its calls.
class ThreadReduction final : public RankReduction {
 public:
  ThreadReduction(RankMeeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}

  void min(at::Tensor& values) override { combine("min", values, torch::minimum); }
  void max(at::Tensor& values) override { combine("max", values, torch::maximum); }
  void sum(at::Tensor& values) override {
    combine("sum", values, [](const at::Tensor& a, const at::Tensor& b) { return a + b; });
  }

  const std::vector<std::string>& calls() const { return calls_; }

 private:
  template <class Operation>
  void combine(const char* name, at::Tensor& values, const Operation& operation) {
    calls_.push_back(c10::str(name, " of ", values.scalar_type(), values.sizes()));
    meeting_.contributions[rank_] = values.clone();
    meeting_.barrier.arrive_and_wait();
    at::Tensor result = meeting_.contributions.front();
    for (size_t i = 1; i < meeting_.contributions.size(); ++i) result = operation(result, meeting_.contributions[i]);
    meeting_.barrier.arrive_and_wait();
    values.copy_(result);
  }

  RankMeeting& meeting_;
  int rank_;
  std::vector<std::string> calls_;
};

/// Reduces the observers, one of each rank. Fails if they don't make the same calls, which would hang real processes.
/// Returns the errors by rank, empty where there were none.
inline std::vector<std::string> reduce_over_ranks(const std::vector<std::shared_ptr<ObserverBase>>& observers) {
  const auto ranks = static_cast<int>(observers.size());
  RankMeeting meeting(ranks);
  std::vector<std::string> errors(ranks);
  std::vector<ThreadReduction> reductions;
  for (int rank = 0; rank < ranks; ++rank) reductions.emplace_back(meeting, rank);
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        try {
          observers[rank]->reduce_over_ranks(reductions[rank]);
        } catch (const std::exception& error) {
          errors[rank] = error.what();
        }
        meeting.barrier.arrive_and_drop();  // nobody waits for calls that do not come
      });
    }
  }
  for (const ThreadReduction& reduction : reductions) EXPECT_EQ(reduction.calls(), reductions.front().calls());
  return errors;
}

}  // namespace octet::test
