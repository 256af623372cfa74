#include <octet/distributed/synchronize.h>

#include <distributed/collectives.h>
#include <distributed/model_state.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <c10/util/StringUtil.h>

namespace octet::distributed {
namespace {

void add_lines_of_observers(const ModelState& state, std::vector<std::string>& lines) {
  for (const auto& [path, observer] : state.observers) lines.push_back(c10::str(path, ": ", observer->describe()));
}

/// Gives observers' buffers the sizes that they have on rank 0. Their numbers of dimensions do not change.
void adopt_sizes(const NamedTensors& buffers, const ProcessGroup& group) {
  std::vector<int64_t> sizes;
  for (const auto& [path, buffer] : buffers) sizes.insert(sizes.end(), buffer.sizes().begin(), buffer.sizes().end());
  if (sizes.empty()) return;
  at::Tensor agreed = at::tensor(sizes, at::TensorOptions(device_of(group)).dtype(at::kLong));
  broadcast(agreed, group);
  agreed = agreed.cpu();
  const auto* next = agreed.const_data_ptr<int64_t>();
  for (const auto& [path, buffer] : buffers) {
    const at::IntArrayRef wanted(next, buffer.dim());
    next += buffer.dim();
    if (buffer.sizes() != wanted) buffer.resize_(wanted);
  }
}

}  // namespace

void sync_observers(torch::nn::Module& model, const ProcessGroup& group) {
  const ModelState state = model_state(model);
  std::vector<std::string> lines;
  add_lines_of_observers(state, lines);
  check_same_model("sync_observers", lines, group);
  GroupReduction reduction(group);
  for (const auto& [path, observer] : state.observers) {
    try {
      observer->reduce_over_ranks(reduction);
    } catch (const Error& error) {
      fail("sync_observers: ", path, ": ", error.what());
    }
  }
}

void broadcast_state(torch::nn::Module& model, const ProcessGroup& group) {
  const at::NoGradGuard no_grad;
  const ModelState state = model_state(model);
  std::vector<std::string> lines;
  for (const NamedTensors* list : {&state.parameters, &state.buffers}) {
    for (const auto& [path, tensor] : *list) lines.push_back(c10::str(path, ": ", tensor.scalar_type(), tensor.sizes()));
  }
  for (const auto& [path, tensor] : state.observer_buffers) {
    lines.push_back(c10::str(path, ": ", tensor.scalar_type(), " of ", tensor.dim(), " dimensions"));
  }
  add_lines_of_observers(state, lines);
  check_same_model("broadcast_state", lines, group);

  adopt_sizes(state.observer_buffers, group);
  for (const NamedTensors* list : {&state.parameters, &state.buffers, &state.observer_buffers}) broadcast(*list, group);
}

}  // namespace octet::distributed
