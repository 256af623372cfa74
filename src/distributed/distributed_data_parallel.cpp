#include <octet/distributed/distributed_data_parallel.h>
#include <octet/distributed/synchronize.h>

#include <distributed/collectives.h>
#include <distributed/model_state.h>

#include <ATen/core/grad_mode.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

namespace octet::distributed {
namespace {

std::shared_ptr<c10d::Reducer> make_reducer(const NamedTensors& parameters, const ProcessGroup& group,
                                            const DistributedDataParallelOptions& options) {
  std::vector<at::Tensor> trained;
  std::unordered_map<size_t, std::string> names;
  for (const auto& [path, parameter] : parameters) {
    if (!parameter.requires_grad()) continue;
    names[trained.size()] = path;
    trained.push_back(parameter);
  }
  check(!trained.empty(), "DistributedDataParallel: no parameter of the model requires a gradient, so there is nothing to train");

  const int64_t bucket_bytes = options.bucket_cap_mb() << 20;
  const int64_t first_bucket_bytes = std::min<int64_t>(c10d::kDefaultFirstBucketBytes, bucket_bytes);
  const std::vector<bool> is_sparse(trained.size(), false);
  const std::vector<size_t> bucket_limits{static_cast<size_t>(first_bucket_bytes), static_cast<size_t>(bucket_bytes)};
  auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(trained, bucket_limits, is_sparse));
  std::reverse(buckets.begin(), buckets.end());  // gradients come in about the opposite order of the parameters
  return std::make_shared<c10d::Reducer>(trained, buckets, group.c10d(), is_sparse, bucket_bytes,
                                         options.find_unused_parameters(),
                                         /*gradient_as_bucket_view=*/false, names, first_bucket_bytes,
                                         /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false,
                                         /*bucket_bytes_cap_list=*/std::vector<int64_t>{});
}

}  // namespace

struct GradientReducer::State {
  State(torch::nn::Module& model, const ProcessGroup& group, const DistributedDataParallelOptions& options)
      : model(model), group(group), options(options) {
    broadcast_state(model, group);
    ModelState state = model_state(model);
    buffers = std::move(state.buffers);
    reducer = make_reducer(state.parameters, group, options);
    logger = std::make_shared<c10d::Logger>(reducer);
    reducer->set_logger(logger);  // it does not check whether it has one
  }

  bool is_training() const { return model.is_training() && at::GradMode::is_enabled(); }

  torch::nn::Module& model;
  ProcessGroup group;
  DistributedDataParallelOptions options;
  NamedTensors buffers;  // of the model, to be broadcast in each step
  std::shared_ptr<c10d::Reducer> reducer;
  std::shared_ptr<c10d::Logger> logger;
};

GradientReducer::GradientReducer(torch::nn::Module& model, const ProcessGroup& group,
                                 const DistributedDataParallelOptions& options) {
  check(options.bucket_cap_mb() > 0, "DistributedDataParallel: bucket_cap_mb is ", options.bucket_cap_mb(),
        ", expected a positive number");
  state_ = std::make_unique<State>(model, group, options);
}

GradientReducer::~GradientReducer() = default;
GradientReducer::GradientReducer(GradientReducer&&) noexcept = default;
GradientReducer& GradientReducer::operator=(GradientReducer&&) noexcept = default;

void GradientReducer::prepare_for_forward() {
  if (!state_->is_training()) return;
  state_->reducer->prepare_for_forward();
  if (state_->reducer->should_rebuild_buckets()) state_->reducer->rebuild_buckets();
  if (!state_->options.broadcast_buffers()) return;
  const at::NoGradGuard no_grad;
  broadcast(state_->buffers, state_->group);
}

void GradientReducer::prepare_for_backward(const std::vector<at::Tensor>& outputs) {
  if (!state_->is_training()) return;
  state_->reducer->prepare_for_backward(state_->options.find_unused_parameters() ? outputs : std::vector<at::Tensor>{});
}

}  // namespace octet::distributed
