// Calls from several threads at once.
#pragma once

#include <ATen/ATen.h>

#include <atomic>
#include <thread>
#include <vector>

namespace octet::test {

/// Lets each of four threads call `forward()` that many times, all at once. @return how many of the results are the expected one
template <class Forward>
int equal_results_of_four_threads(int calls, const at::Tensor& expected, const Forward& forward) {
  std::atomic<int> equal{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      const at::NoGradGuard no_grad;
      for (int i = 0; i < calls; ++i) equal += forward().equal(expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return equal;
}

}  // namespace octet::test
