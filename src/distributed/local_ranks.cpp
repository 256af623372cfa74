#include <octet/distributed/local_ranks.h>
#include <octet/tensor/error.h>

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <thread>

namespace octet::distributed {
namespace {

/// Pointers to the texts, with a null behind them.
std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// This process' environment with other variables put in.
std::vector<std::string> environment_with(const std::map<std::string, std::string>& variables) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    if (!variables.contains(text.substr(0, text.find('=')))) environment.push_back(text);
  }
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  return environment;
}

/// Processes that are terminated unless they have ended.
class Children {
 public:
  Children() = default;
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;
  ~Children() {
    for (const pid_t child : running_) kill(child, SIGTERM);
    for (const pid_t child : running_) waitpid(child, nullptr, 0);
  }

  void start(const std::string& program, std::vector<std::string> arguments, std::vector<std::string> environment) {
    pid_t child = 0;
    const int error =
        posix_spawn(&child, program.c_str(), nullptr, nullptr, pointers_to(arguments).data(), pointers_to(environment).data());
    check(error == 0, "run_local_ranks: cannot start ", program, ": ", std::strerror(error));
    running_.push_back(child);
  }

  /// Returns when all have ended well, or one has not.
  int wait() {
    while (!running_.empty()) {
      for (size_t i = 0; i < running_.size();) {
        int status = 0;
        const pid_t ended = waitpid(running_[i], &status, WNOHANG);
        if (ended == 0 || (ended < 0 && errno == EINTR)) {
          ++i;
          continue;
        }
        running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
        if (WIFSIGNALED(status)) return 128 + WTERMSIG(status);
        if (WEXITSTATUS(status) != 0) return WEXITSTATUS(status);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return 0;
  }

 private:
  std::vector<pid_t> running_;
};

}  // namespace

int run_local_ranks(int world_size, const std::vector<std::string>& arguments) {
  check(world_size > 0, "run_local_ranks: world_size is ", world_size, ", expected a positive number");
  c10d::TCPStoreOptions options;
  options.port = 0;  // any that is free; the store is served from here so that nobody can take it before rank 0 does
  options.isServer = true;
  options.waitWorkers = false;
  const c10d::TCPStore store("127.0.0.1", options);

  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  std::vector<std::string> command{program};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const char* const threads = std::getenv("OMP_NUM_THREADS");
  const unsigned share = std::max(1U, std::thread::hardware_concurrency() / static_cast<unsigned>(world_size));

  Children children;
  for (int rank = 0; rank < world_size; ++rank) {
    children.start(program, command,
                   environment_with({{"RANK", std::to_string(rank)},
                                     {"LOCAL_RANK", std::to_string(rank)},
                                     {"WORLD_SIZE", std::to_string(world_size)},
                                     {"MASTER_ADDR", "127.0.0.1"},
                                     {"MASTER_PORT", std::to_string(store.getPort())},
                                     {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                     {"OMP_NUM_THREADS", threads ? threads : std::to_string(share)}}));
  }
  return children.wait();
}

}  // namespace octet::distributed
