#include <octet/distributed/process_group.h>

#include <distributed/ranks_test_support.h>
#include <support/errors.h>

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <array>
#include <chrono>
#include <cstdlib>
#include <map>
#include <thread>

namespace octet::distributed {
namespace {

using octet::test::error_text;

/// Sets the variables of launchers to these and no others, for as long as it lives.
class ScopedEnvironment {
 public:
  explicit ScopedEnvironment(const std::map<std::string, std::string>& variables) {
    for (const char* name : kNames) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      unsetenv(name);
    }
    for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
  }
  ScopedEnvironment(const ScopedEnvironment&) = delete;
  ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;
  ~ScopedEnvironment() {
    for (const char* name : kNames) unsetenv(name);
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  static constexpr std::array kNames{"RANK",
                                     "WORLD_SIZE",
                                     "LOCAL_RANK",
                                     "OMPI_COMM_WORLD_RANK",
                                     "OMPI_COMM_WORLD_SIZE",
                                     "OMPI_COMM_WORLD_LOCAL_RANK",
                                     "PMI_RANK",
                                     "PMI_SIZE",
                                     "MPI_LOCALRANKID",
                                     "MASTER_ADDR",
                                     "MASTER_PORT",
                                     "TORCHELASTIC_USE_AGENT_STORE"};

  std::map<std::string, std::string> before_;
};

std::string error_with(const std::map<std::string, std::string>& variables) {
  const ScopedEnvironment environment(variables);
  return error_text([] { LaunchEnvironment::read(); });
}

TEST(LaunchEnvironment, UnderstandsTorchrunOpenMPIAndMPICH) {
  const std::map<std::string, std::string> master{{"MASTER_ADDR", "node7"}, {"MASTER_PORT", "29400"}};
  const std::vector<std::map<std::string, std::string>> launchers{
      {{"RANK", "2"}, {"WORLD_SIZE", "4"}, {"LOCAL_RANK", "1"}},
      {{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}},
      {{"PMI_RANK", "2"}, {"PMI_SIZE", "4"}, {"MPI_LOCALRANKID", "1"}}};
  for (auto variables : launchers) {
    variables.insert(master.begin(), master.end());
    const ScopedEnvironment environment(variables);
    const auto found = LaunchEnvironment::read();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->rank, 2);
    EXPECT_EQ(found->world_size, 4);
    EXPECT_EQ(found->local_rank, 1);
    EXPECT_EQ(found->master_addr, "node7");
    EXPECT_EQ(found->master_port, 29400);
  }
}

TEST(LaunchEnvironment, IsNullForAProgramStartedByItself) {
  const std::map<std::string, std::string> nothing_of_a_launcher{{"MASTER_ADDR", "node7"}};
  const ScopedEnvironment environment(nothing_of_a_launcher);
  EXPECT_FALSE(LaunchEnvironment::read());
  EXPECT_EQ(
      error_text([] { init_process_group(); }),
      "init_process_group: none of RANK, OMPI_COMM_WORLD_RANK and PMI_RANK is set; start the program by torchrun --no-python "
      "or mpirun, or its processes by run_local_ranks()");
}

TEST(LaunchEnvironment, SaysWhichVariableIsMissingOrOdd) {
  EXPECT_EQ(error_with({{"RANK", "0"}}),
            "init_process_group: WORLD_SIZE is not set, but RANK is; torchrun sets both for each process that it starts");
  EXPECT_EQ(error_with({{"PMI_SIZE", "2"}}),
            "init_process_group: PMI_RANK is not set, but PMI_SIZE is; MPICH sets both for each process that it starts");
  EXPECT_EQ(error_with({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "1"}}),
            "init_process_group: MASTER_ADDR is not set, but RANK is; export the address of the machine of rank 0");
  EXPECT_EQ(error_with({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}}),
            "init_process_group: MASTER_PORT is not set, but RANK is; export a free port of the machine of rank 0");
  EXPECT_EQ(error_with({{"RANK", "2"}, {"WORLD_SIZE", "2"}}),
            "init_process_group: the environment variable RANK is \"2\", expected a number from 0 to 1");
  EXPECT_EQ(error_with({{"RANK", "0"}, {"WORLD_SIZE", "two"}}),
            "init_process_group: the environment variable WORLD_SIZE is \"two\", expected a number from 1 to 1048576");
  EXPECT_EQ(error_with({{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "80000"}}),
            "init_process_group: the environment variable MASTER_PORT is \"80000\", expected a number from 1 to 65535");
}

TEST(InitProcessGroup, SaysWhomItWaitedFor) {
  const auto soon = ProcessGroupOptions().timeout(std::chrono::milliseconds(300));
  const LaunchEnvironment lost{.rank = 1, .world_size = 2, .local_rank = 1, .master_addr = "127.0.0.1", .master_port = 1};
  const std::string text = error_text([&] { init_process_group(lost, soon); });
  EXPECT_EQ(text.find("init_process_group: rank 1 of 2 did not find the others by 127.0.0.1:1 within 300 ms"), 0) << text;
}

TEST(InitProcessGroup, RefusesWhatItCannotMake) {
  const auto with = [](int rank, const std::string& backend) {
    return error_text(
        [&] { init_process_group(c10::make_intrusive<c10d::HashStore>(), rank, 1, ProcessGroupOptions().backend(backend)); });
  };
  EXPECT_EQ(with(1, "gloo"), "init_process_group: rank 1 is not one of 1");
  EXPECT_EQ(with(0, "mpi"), "init_process_group: the backend is \"mpi\", expected \"gloo\" or \"nccl\"");
#ifndef USE_C10D_NCCL
  EXPECT_EQ(with(0, "nccl").find("init_process_group: this program was built without NCCL"), 0);
#endif
  EXPECT_EQ(error_text([] { ProcessGroup(nullptr); }), "ProcessGroup: got null; init_process_group() makes one");
}

TEST(RunLocalRanks, MakesProcessesThatFindEachOther) {
  if (LaunchEnvironment::read()) {
    const ProcessGroup group = init_process_group(ProcessGroupOptions().timeout(std::chrono::seconds(60)));
    EXPECT_EQ(group.size(), 3);
    std::vector<at::Tensor> ranks{torch::full({2}, group.rank(), torch::kLong)};
    group.c10d()->allreduce(ranks)->wait();
    EXPECT_TRUE(ranks.front().equal(torch::full({2}, 3, torch::kLong)));
  } else {
    EXPECT_EQ(test::run_this_test_on_local_ranks(3), 0);
  }
}

TEST(ProcessGroup, ThrowsInsteadOfWaitingForAProcessThatIsGone) {
  if (LaunchEnvironment::read()) {
    const ProcessGroup group = init_process_group(ProcessGroupOptions().timeout(std::chrono::seconds(60)));
    if (group.rank() == 1) std::_Exit(0);
    std::vector<at::Tensor> values{torch::ones({2})};
    EXPECT_ANY_THROW(group.c10d()->allreduce(values)->wait());
  } else {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(test::run_this_test_on_local_ranks(2), 0);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(50));
  }
}

TEST(RunLocalRanks, EndsAllAndReturnsTheStatusOfTheOneThatFailed) {
  if (const auto environment = LaunchEnvironment::read()) {
    if (environment->rank == 1) std::_Exit(7);
    std::this_thread::sleep_for(std::chrono::minutes(2));
  } else {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(test::run_this_test_on_local_ranks(2), 7);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::minutes(1));
    EXPECT_EQ(error_text([] { run_local_ranks(0, {}); }), "run_local_ranks: world_size is 0, expected a positive number");
  }
}

}  // namespace
}  // namespace octet::distributed
