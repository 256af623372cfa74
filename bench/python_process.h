// A program in Python that does what it is told.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace bench {

/// A running script that answers each line of its input with a line. Linux.
class PythonProcess {
 public:
  /// Starts it and waits for its first line.
  /// @throws std::runtime_error if it cannot be started or ends before that
  explicit PythonProcess(const std::vector<std::string>& arguments);

  /// Ends its input, and waits for it to end.
  ~PythonProcess();
  PythonProcess(const PythonProcess&) = delete;
  PythonProcess& operator=(const PythonProcess&) = delete;

  /// @return its answer. @throws std::runtime_error if it has ended
  std::string ask(const std::string& line);

 private:
  std::string read_line();

  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
};

}  // namespace bench
