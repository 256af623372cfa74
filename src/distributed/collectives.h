#pragma once

#include <distributed/model_state.h>

#include <octet/distributed/process_group.h>
#include <octet/observe/observer.h>

#include <c10/core/Device.h>

#include <string>
#include <utility>
#include <vector>

namespace octet::distributed {

/// The reductions of observers over a group.
class GroupReduction final : public RankReduction {
 public:
  explicit GroupReduction(ProcessGroup group) : group_(std::move(group)) {}

  void min(at::Tensor& values) override;
  void max(at::Tensor& values) override;
  void sum(at::Tensor& values) override;

 private:
  ProcessGroup group_;
};

/// Copies from rank 0 to all others, in place.
void broadcast(at::Tensor& values, const ProcessGroup& group);

/// The same for many tensors, in few messages.
void broadcast(const NamedTensors& tensors, const ProcessGroup& group);

/// Where a group can reduce what is on no device in particular.
at::Device device_of(const ProcessGroup& group);

/// Collective, before calls whose number depends on the model. @param lines  what must be the same on all ranks
/// @throws Error, on all ranks alike, if it is not
void check_same_model(const std::string& caller, const std::vector<std::string>& lines, const ProcessGroup& group);

}  // namespace octet::distributed
