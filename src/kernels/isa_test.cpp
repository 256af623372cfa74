#include <octet/kernels/isa.h>

#include <octet/kernels/elementwise.h>

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "kernels/kernel_table.h"

namespace octet::kernels {
namespace {

/// Runs in a process of its own, because OCTET_ISA is read once.
[[noreturn]] void exit_with_forced_isa(const char* forced) {
  setenv("OCTET_ISA", forced, 1);
  try {
    const Isa isa = selected_isa();
    float x = 0.5f;
    sigmoid(&x, 1, &x);
    uint64_t calls = 0;
    for (const Isa other : available_isas()) calls += served_calls(other);
    std::fprintf(stderr, "%s served %d of %d", std::string(name(isa)).c_str(), static_cast<int>(served_calls(isa)),
                 static_cast<int>(calls));
    std::exit(0);
  } catch (const std::runtime_error& error) {
    std::fputs(error.what(), stderr);
    std::exit(1);
  }
}

TEST(IsaDeathTest, TheEnvironmentForcesThePathThatRuns) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const Isa isa : available_isas()) {
    const std::string forced(name(isa));
    EXPECT_EXIT(exit_with_forced_isa(forced.c_str()), ::testing::ExitedWithCode(0), forced + " served 1 of 1");
  }
}

TEST(IsaDeathTest, AnUnknownNameInTheEnvironmentListsWhatIsAvailable) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(exit_with_forced_isa("avx1024"), ::testing::ExitedWithCode(1), "OCTET_ISA \"avx1024\" is not .*available: scalar");
}

TEST(Isa, TheBestAvailablePathIsTheDefault) {
  ASSERT_FALSE(available_isas().empty());
  EXPECT_EQ(available_isas().front(), Isa::scalar);
  if (!std::getenv("OCTET_ISA")) {
    EXPECT_EQ(selected_isa(), available_isas().back());
  }
}

TEST(Isa, ScopesNestAndEnd) {
  const Isa before = selected_isa();
  const Isa best = available_isas().back();
  {
    const ScopedIsa outer(Isa::scalar);
    EXPECT_EQ(selected_isa(), Isa::scalar);
    {
      const ScopedIsa inner(best);
      EXPECT_EQ(selected_isa(), best);
    }
    EXPECT_EQ(selected_isa(), Isa::scalar);
  }
  EXPECT_EQ(selected_isa(), before);
}

TEST(Isa, EachTableSaysItsOwnNameAndHasItsOwnProducts) {
  const KernelTable* previous = nullptr;
  for (const Isa isa : available_isas()) {
    const ScopedIsa forced(isa);
    const KernelTable& table = kernels();
    EXPECT_EQ(table.isa, isa);
    if (previous) {
      EXPECT_NE(table.accumulate, previous->accumulate);
    }
    previous = &table;
  }
}

}  // namespace
}  // namespace octet::kernels
