#include <octet/distributed/process_group.h>
#include <octet/tensor/error.h>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <array>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <limits>
#include <string_view>
#include <utility>

#if defined(USE_C10D_NCCL) && __has_include(<nccl.h>)
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#define OCTET_HAS_NCCL 1
#else
#define OCTET_HAS_NCCL 0
#endif

namespace octet::distributed {
namespace {

using c10d::ProcessGroupGloo;

/// The variables in which a launcher tells each process its place.
struct Launcher {
  const char* name;
  const char* rank;
  const char* world_size;
  const char* local_rank;
};

constexpr std::array kLaunchers{
    Launcher{"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"},
    Launcher{"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
    Launcher{"MPICH", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
};

constexpr int kMaxWorldSize = 1 << 20;

const char* required_variable(const char* name, const char* beside, const char* hint) {
  const char* const text = std::getenv(name);
  check(text != nullptr && *text != '\0', "init_process_group: ", name, " is not set, but ", beside, " is; ", hint);
  return text;
}

int number_in(const char* name, std::string_view text, int lowest, int highest) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  check(error == std::errc() && end == text.data() + text.size() && lowest <= number && number <= highest,
        "init_process_group: the environment variable ", name, " is \"", text, "\", expected a number from ", lowest, " to ",
        highest);
  return number;
}

std::string text_of(const std::exception& error) {
  const auto* const torch_error = dynamic_cast<const c10::Error*>(&error);
  return torch_error ? torch_error->what_without_backtrace() : error.what();
}

c10::intrusive_ptr<c10d::Store> store_of(const LaunchEnvironment& environment, std::chrono::milliseconds timeout) {
  // torchrun and run_local_ranks() serve the store themselves. The prefix keeps it apart from what else is in there.
  const char* const launcher_serves = std::getenv("TORCHELASTIC_USE_AGENT_STORE");
  const char* const attempt = std::getenv("TORCHELASTIC_RESTART_COUNT");
  c10d::TCPStoreOptions options;
  options.port = environment.master_port;
  options.isServer = environment.rank == 0 && !(launcher_serves && std::string_view(launcher_serves) == "True");
  options.numWorkers = environment.world_size;
  options.waitWorkers = false;  // the group waits for them
  options.timeout = timeout;
  return c10::make_intrusive<c10d::PrefixStore>(c10::str("octet/", attempt ? attempt : "0"),
                                                c10::make_intrusive<c10d::TCPStore>(environment.master_addr, options));
}

}  // namespace

ProcessGroup::ProcessGroup(c10::intrusive_ptr<c10d::ProcessGroup> group)
    : group_(std::make_shared<c10::intrusive_ptr<c10d::ProcessGroup>>(std::move(group))) {
  check(group_->defined(), "ProcessGroup: got null; init_process_group() makes one");
}

int ProcessGroup::rank() const { return c10d()->getRank(); }

int ProcessGroup::size() const { return c10d()->getSize(); }

std::optional<LaunchEnvironment> LaunchEnvironment::read() {
  for (const Launcher& launcher : kLaunchers) {
    if (!std::getenv(launcher.rank) && !std::getenv(launcher.world_size)) continue;
    const std::string hint = c10::str(launcher.name, " sets both for each process that it starts");
    const char* const world_size = required_variable(launcher.world_size, launcher.rank, hint.c_str());
    const char* const rank = required_variable(launcher.rank, launcher.world_size, hint.c_str());

    LaunchEnvironment environment;
    environment.world_size = number_in(launcher.world_size, world_size, 1, kMaxWorldSize);
    environment.rank = number_in(launcher.rank, rank, 0, environment.world_size - 1);
    const char* const local_rank = std::getenv(launcher.local_rank);
    environment.local_rank =
        local_rank ? number_in(launcher.local_rank, local_rank, 0, environment.world_size - 1) : environment.rank;
    environment.master_addr = required_variable("MASTER_ADDR", launcher.rank, "export the address of the machine of rank 0");
    environment.master_port = static_cast<uint16_t>(
        number_in("MASTER_PORT", required_variable("MASTER_PORT", launcher.rank, "export a free port of the machine of rank 0"),
                  1, std::numeric_limits<uint16_t>::max()));
    return environment;
  }
  return std::nullopt;
}

ProcessGroup init_process_group(const ProcessGroupOptions& options) {
  const auto environment = LaunchEnvironment::read();
  check(environment.has_value(), "init_process_group: none of RANK, OMPI_COMM_WORLD_RANK and PMI_RANK is set; start the program ",
        "by torchrun --no-python or mpirun, or its processes by run_local_ranks()");
  return init_process_group(*environment, options);
}

ProcessGroup init_process_group(const LaunchEnvironment& environment, const ProcessGroupOptions& options) {
  try {
    return init_process_group(store_of(environment, options.timeout()), environment.rank, environment.world_size, options);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail("init_process_group: rank ", environment.rank, " of ", environment.world_size, " did not find the others by ",
         environment.master_addr, ":", environment.master_port, " within ", options.timeout().count(),
         " ms. Are all of them running, with the same MASTER_ADDR, MASTER_PORT and number of processes? ", text_of(error));
  }
}

ProcessGroup init_process_group(c10::intrusive_ptr<c10d::Store> store, int rank, int world_size,
                                const ProcessGroupOptions& options) {
  check(store.defined(), "init_process_group: got no store");
  check(0 <= rank && rank < world_size, "init_process_group: rank ", rank, " is not one of ", world_size);
  check(options.backend() == "gloo" || options.backend() == "nccl", "init_process_group: the backend is \"", options.backend(),
        "\", expected \"gloo\" or \"nccl\"");
  check(options.backend() == "gloo" || OCTET_HAS_NCCL,
        "init_process_group: this program was built without NCCL; build it with a LibTorch for CUDA and with nccl.h, or use "
        "\"gloo\"");

  using Group = c10d::ProcessGroup;
  auto group = c10::make_intrusive<Group>(store, rank, world_size);
  const auto gloo = c10::make_intrusive<ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", store), rank, world_size,
                                                          ProcessGroupGloo::Options::create_default(options.timeout()));
  group->setBackend(at::kCPU, Group::GLOO, gloo);
  group->setDefaultBackend(Group::GLOO);
  gloo->barrier()->wait();  // a rank that ended at once would take the store away from those that still look for the others
#if OCTET_HAS_NCCL
  if (options.backend() == "nccl") {
    auto nccl_options = c10d::ProcessGroupNCCL::Options::create();
    nccl_options->timeout = options.timeout();
    group->setBackend(at::kCUDA, Group::NCCL,
                      c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>("nccl", store), rank,
                                                                  world_size, nccl_options));
    return ProcessGroup(std::move(group));
  }
#endif
  group->setBackend(at::kCUDA, Group::GLOO, gloo);
  return ProcessGroup(std::move(group));
}

}  // namespace octet::distributed
