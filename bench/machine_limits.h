// What this machine can do at most, measured: the figures that a share of the limit refers to.
#pragma once

#include "work.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace bench {

struct Limits {
  struct Bandwidth {
    std::string_view level;  ///< "L1", "L2", "L3", "DRAM"
    int64_t bytes;           ///< that each thread read again and again
    int64_t capacity;        ///< of this level for all threads together
    double bytes_per_second;
  };

  int threads;
  /// Multiply-adds a second of 8-bit integers with exact sums, on the instructions of the selected ISA, all operands being in
  /// registers; 0 where it is not known (scalar code).
  double macs_per_second;
  std::vector<Bandwidth> bandwidths;  ///< from the smallest level to the largest, of reading

  /// How many seconds a network with weights of that size takes at least: what its products take, or what it takes to read its
  /// weights from the first level that could hold them.
  double seconds(const Work& work, double bytes_per_weight) const;
};

/// Takes about a second. @param threads  that compute and read at once, each its own part
Limits measure_limits(int threads);

/// As a table, for each number of threads from one to those of the machine.
void print_limits();

}  // namespace bench
