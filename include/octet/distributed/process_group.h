#pragma once

#include <c10/util/intrusive_ptr.h>
#include <torch/arg.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace c10d {
class ProcessGroup;
class Store;
}  // namespace c10d

namespace octet::distributed {

/// The processes that work on one model, each with a rank from 0 to size() - 1: a c10d::ProcessGroup, without the cost of its
/// header. Copies stand for the same group. All of its processes must make the same collective calls in the same order, from one
/// thread at a time. If another process is gone or takes longer than the timeout, calls throw what c10d does, a
/// std::runtime_error or a c10::Error.
class ProcessGroup {
 public:
  /// A group that was made otherwise. @throws Error if it is null
  /* implicit */ ProcessGroup(c10::intrusive_ptr<c10d::ProcessGroup> group);

  int rank() const;
  int size() const;

  /// For other collectives; include <torch/csrc/distributed/c10d/ProcessGroup.hpp>.
  const c10::intrusive_ptr<c10d::ProcessGroup>& c10d() const { return *group_; }

 private:
  std::shared_ptr<c10::intrusive_ptr<c10d::ProcessGroup>> group_;
};

class ProcessGroupOptions {
  /// "gloo", or "nccl" where LibTorch was built with it: NCCL for tensors on CUDA and Gloo for those on the CPU.
  TORCH_ARG(std::string, backend) = "gloo";

  /// How long to wait for the other processes, to begin with and in each collective.
  TORCH_ARG(std::chrono::milliseconds, timeout) = std::chrono::minutes(30);
};

/// What a launcher tells each process that it starts.
struct LaunchEnvironment {
  int rank = 0;
  int world_size = 1;
  int local_rank =
      0;  ///< among the processes of this machine; the index of the GPU to use. The rank if the launcher does not say
  std::string master_addr;
  uint16_t master_port = 0;

  /// From the environment variables of torchrun (RANK, WORLD_SIZE, LOCAL_RANK), Open MPI (OMPI_COMM_WORLD_RANK, _SIZE,
  /// _LOCAL_RANK) or MPICH (PMI_RANK, PMI_SIZE, MPI_LOCALRANKID), the first that is there, and MASTER_ADDR and MASTER_PORT, where
  /// all processes find that of rank 0. mpirun does not set those two: export them.
  /// @return null where there are none: a program that was started by itself
  /// @throws Error for variables that are missing beside others or that hold no such number
  static std::optional<LaunchEnvironment> read();
};

/// The group of all processes that the launcher started. Returns when all of them have called it.
/// @throws Error if no launcher started this process, if the variables are wrong, if the backend is not built in, or if the other
///         processes cannot be reached
ProcessGroup init_process_group(const ProcessGroupOptions& options = {});
ProcessGroup init_process_group(const LaunchEnvironment& environment, const ProcessGroupOptions& options = {});

/// The group of the processes, or threads, that share a store. A store serves one group.
ProcessGroup init_process_group(c10::intrusive_ptr<c10d::Store> store, int rank, int world_size,
                                const ProcessGroupOptions& options = {});

}  // namespace octet::distributed
