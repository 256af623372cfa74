// LibTorch seeds its default generator anew in every process. A test must not pass on one run and fail on the next, so each begins
// with the same seed.
#include <gtest/gtest.h>
#include <torch/utils.h>

namespace {

class SeedingListener : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override { torch::manual_seed(0); }
};

[[maybe_unused]] const bool is_registered = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new SeedingListener);
  return true;
}();

}  // namespace
