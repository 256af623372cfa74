#pragma once

#include <octet/distributed/process_group.h>
#include <octet/nn/slot.h>

#include <ATen/core/Tensor.h>
#include <torch/arg.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace octet::distributed {

/// Names and defaults are those of torch.nn.parallel.DistributedDataParallel.
class DistributedDataParallelOptions {
  /// Gradients are reduced in buckets of so many MiB, each as soon as it is complete.
  TORCH_ARG(int64_t, bucket_cap_mb) = 25;

  /// Set it if a forward pass may leave parameters out, also on some ranks only. Costs a walk over the graph in each step.
  /// If it is not set and parameters were left out, the next forward throws a c10::Error.
  TORCH_ARG(bool, find_unused_parameters) = false;

  /// Before each forward pass in training mode, give all ranks the buffers of rank 0 (BatchNorm's running statistics), but not
  /// those of observers, which sync_observers() reduces.
  TORCH_ARG(bool, broadcast_buffers) = true;
};

/// Averages the gradients of a model's parameters over a group while backward() computes them: c10d's Reducer. For forward passes
/// that DistributedDataParallel cannot call.
class GradientReducer {
 public:
  /// Calls broadcast_state(). What is averaged are the gradients of the parameters that require them now: of scales that learn,
  /// if they do already. The model must not get other parameters or buffers afterwards, and must outlive this.
  /// @throws Error as broadcast_state, and, on each rank alike, if no parameter requires a gradient
  GradientReducer(torch::nn::Module& model, const ProcessGroup& group, const DistributedDataParallelOptions& options = {});
  ~GradientReducer();
  GradientReducer(GradientReducer&&) noexcept;
  GradientReducer& operator=(GradientReducer&&) noexcept;

  /// Before each forward pass. Does nothing in eval mode and without gradients.
  void prepare_for_forward();

  /// After it. @param outputs  what backward() will start from, directly or not
  void prepare_for_backward(const std::vector<at::Tensor>& outputs);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Training of one model by many processes, each with its part of every batch: torch.nn.parallel.DistributedDataParallel.
///
///     octet::distributed::DistributedDataParallel parallel(net, group);
///     auto loss = loss_of(parallel.forward(batch));
///     loss.backward();                      // gradients are averages over all ranks when this returns
///     optimizer.step();
///
/// All ranks begin with the state of rank 0, and with the same optimizer they have the same parameters, to the bit, after every
/// step. With parts of equal size and a loss that is a mean, a step is that of one process with the whole batch, up to the order
/// of summation. Ranks must take the same number of steps. Gradients of a forward pass through module() are not reduced but
/// added to the others of the rank: so several batches make one step. Sparse gradients are not supported.
/// Not thread-safe, as a training step is not.
template <class Model>
class DistributedDataParallel {
 public:
  /// @throws Error as GradientReducer
  DistributedDataParallel(std::shared_ptr<Model> module, const ProcessGroup& group,
                          const DistributedDataParallelOptions& options = {})
      : module_(std::move(module)), reducer_(*module_, group, options) {}
  DistributedDataParallel(const torch::nn::ModuleHolder<Model>& module, const ProcessGroup& group,
                          const DistributedDataParallelOptions& options = {})
      : DistributedDataParallel(module.ptr(), group, options) {}

  /// The model's forward.
  template <class... Arguments>
  auto forward(Arguments&&... arguments) {
    reducer_.prepare_for_forward();
    auto result = module_->forward(std::forward<Arguments>(arguments)...);
    reducer_.prepare_for_backward(nn::detail::tensors_of(result));
    return result;
  }

  const std::shared_ptr<Model>& module() const { return module_; }

 private:
  std::shared_ptr<Model> module_;
  GradientReducer reducer_;
};

}  // namespace octet::distributed
