#include <octet/kernels/isa.h>

#include <octet/kernels/elementwise.h>

#include <cstdlib>
#include <map>

#include "kernels/kernel_table.h"
#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

std::string environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

std::string available_names() {
  std::string names;
  for (const Isa isa : available_isas()) names.append(names.empty() ? "" : ", ").append(name(isa));
  return names;
}

// OCTET_ISA is read once in a process, so CMakeLists.txt runs this test in several, with and without it.
TEST(Isa, TheEnvironmentOrElseTheBestPathRuns) {
  const std::string forced = environment("OCTET_ISA");
  const std::string wanted = forced.empty() ? std::string(name(available_isas().back())) : forced;
  std::map<std::string_view, uint64_t> before, served;
  for (const Isa isa : available_isas()) before[name(isa)] = served_calls(isa);
  float x = 0.5f;
  if (!before.contains(wanted)) {
    EXPECT_EQ(test::error_of<std::runtime_error>([&] { sigmoid(&x, 1, &x); }),
              "OCTET_ISA \"" + forced +
                  "\" is not an instruction set that this build has kernels for and this processor supports; available: " +
                  available_names());
    return;
  }
  sigmoid(&x, 1, &x);
  EXPECT_EQ(name(selected_isa()), wanted);
  for (const Isa isa : available_isas()) {
    EXPECT_EQ(served_calls(isa) - before[name(isa)], name(isa) == wanted ? 1 : 0) << name(isa);
  }
}

// CMakeLists.txt says what an emulated processor has.
TEST(Isa, ThePathsThatTheProcessorSupportsAreAvailable) {
  ASSERT_FALSE(available_isas().empty());
  EXPECT_EQ(available_isas().front(), Isa::scalar);
  const std::string expected = environment("OCTET_TEST_EXPECTED_ISAS");
  if (!expected.empty()) {
    EXPECT_EQ(available_names(), expected);
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
