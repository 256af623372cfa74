#pragma once

#include <string>
#include <vector>

namespace octet::distributed {

/// Starts this program anew as the processes of one group on this machine, as `torchrun --nproc-per-node` does: each finds its
/// place by LaunchEnvironment::read(). Returns when all have ended. When one fails, the others are terminated. The processor's
/// cores are shared out unless OMP_NUM_THREADS is set. Linux.
///
///     if (ranks > 1 && !LaunchEnvironment::read()) return run_local_ranks(ranks, {argv + 1, argv + argc});
///
/// @param arguments  of the program, without its name
/// @return 0 if all ended with 0, else the exit status of the first that did not; 128 and the signal's number if it was killed
/// @throws Error if a process cannot be started
int run_local_ranks(int world_size, const std::vector<std::string>& arguments);

}  // namespace octet::distributed
