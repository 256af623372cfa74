// Loops that do nothing but multiply and add, for each ISA whose instructions have a limit worth knowing. Each is in a file with
// flags of its own.
#pragma once

#include <cstdint>

namespace bench {

/// Runs the loop and returns how many multiply-adds that were.
using Peak = double (*)(int64_t iterations);

double peak_avx2(int64_t iterations);
double peak_avx512vnni(int64_t iterations);

}  // namespace bench
