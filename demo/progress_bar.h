// A progress bar for the terminal.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include <unistd.h>

namespace demo {

/// Shows on stderr how far a loop has come. On a terminal the line is redrawn ten times a second; elsewhere there is a line for
/// each quarter.
class ProgressBar {
 public:
  ProgressBar(std::string what, int64_t total) : what_(std::move(what)), total_(total), terminal_(isatty(fileno(stderr))) {
    draw();
  }
  ~ProgressBar() {
    if (terminal_) fmt::print(stderr, "\n");
  }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void advance() {
    ++done_;
    const bool quarter = done_ * 4 / total_ != (done_ - 1) * 4 / total_;
    if (done_ == total_ || (terminal_ ? Clock::now() - drawn_ > std::chrono::milliseconds(100) : quarter)) draw();
  }

 private:
  using Clock = std::chrono::steady_clock;

  void draw() {
    constexpr int64_t kWidth = 30;
    drawn_ = Clock::now();
    const double seconds = std::chrono::duration<double>(drawn_ - begin_).count();
    const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
    const int64_t filled = done_ * kWidth / total_;
    std::string line = fmt::format("{} [{}{}] {:3d} %", what_, std::string(filled, '#'), std::string(kWidth - filled, '.'),
                                   done_ * 100 / total_);
    if (done_ > 0)
      line += fmt::format("  {}/{}  {:.0f}/s  {:.0f} s left", done_, total_, rate, static_cast<double>(total_ - done_) / rate);
    fmt::print(stderr, "{}{}{}", terminal_ ? "\r" : "", line, terminal_ ? "\033[K" : "\n");
    std::fflush(stderr);
  }

  std::string what_;
  int64_t total_;
  bool terminal_;
  int64_t done_ = 0;
  Clock::time_point begin_ = Clock::now(), drawn_ = begin_;
};

}  // namespace demo
