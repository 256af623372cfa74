#include "python_process.h"

#include <fmt/format.h>

#include <array>
#include <csignal>
#include <stdexcept>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace bench {

PythonProcess::PythonProcess(const std::vector<std::string>& arguments) {
  std::array<int, 2> input{}, output{};
  if (pipe(input.data()) != 0 || pipe(output.data()) != 0) throw std::runtime_error("no pipe for " + arguments.front());
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  for (const int end : {input[0], input[1], output[0], output[1]}) posix_spawn_file_actions_addclose(&actions, end);
  const int failure = posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(input[0]);
  close(output[1]);
  to_ = input[1];
  from_ = output[0];
  if (failure != 0) throw std::runtime_error(fmt::format("{} does not start", arguments.front()));
  std::signal(SIGPIPE, SIG_IGN);  // a write to a process that has ended is an error like others
  read_line();
}

PythonProcess::~PythonProcess() {
  close(to_);
  close(from_);
  waitpid(pid_, nullptr, 0);
}

std::string PythonProcess::ask(const std::string& line) {
  const std::string request = line + "\n";
  if (write(to_, request.data(), request.size()) != static_cast<ssize_t>(request.size())) {
    throw std::runtime_error("the Python process has ended; its last words are above");
  }
  return read_line();
}

std::string PythonProcess::read_line() {
  std::string line;
  for (char c = 0; read(from_, &c, 1) == 1;) {
    if (c == '\n') return line;
    line += c;
  }
  throw std::runtime_error("the Python process has ended; its last words are above");
}

}  // namespace bench
