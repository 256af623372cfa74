#include <distributed/collectives.h>

#include <octet/tensor/error.h>

#include <ATen/ops/tensor.h>
#include <c10/util/StringUtil.h>
#include <c10/util/hash.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>

#include <algorithm>
#include <sstream>

namespace octet::distributed {
namespace {

void all_reduce(at::Tensor& values, c10d::ReduceOp::RedOpType operation, const ProcessGroup& group) {
  std::vector<at::Tensor> tensors{values};
  c10d::AllreduceOptions options;
  options.reduceOp = operation;
  group.c10d()->allreduce(tensors, options)->wait();
}

/// A text in bytes, that of rank 0 on all ranks.
std::string broadcast_text(const std::string& text, const ProcessGroup& group) {
  const auto options = at::TensorOptions(device_of(group));
  at::Tensor size = at::tensor(static_cast<int64_t>(text.size()), options.dtype(at::kLong));
  broadcast(size, group);
  std::vector<uint8_t> bytes(text.begin(), text.end());
  bytes.resize(size.item<int64_t>());
  at::Tensor data = at::tensor(bytes, options.dtype(at::kByte));
  broadcast(data, group);
  const at::Tensor received = data.cpu();
  const auto* const begin = received.const_data_ptr<uint8_t>();
  return {begin, begin + received.numel()};
}

}  // namespace

void GroupReduction::min(at::Tensor& values) { all_reduce(values, c10d::ReduceOp::MIN, group_); }

void GroupReduction::max(at::Tensor& values) { all_reduce(values, c10d::ReduceOp::MAX, group_); }

void GroupReduction::sum(at::Tensor& values) { all_reduce(values, c10d::ReduceOp::SUM, group_); }

void broadcast(at::Tensor& values, const ProcessGroup& group) {
  std::vector<at::Tensor> tensors{values};
  group.c10d()->broadcast(tensors)->wait();
}

void broadcast(const NamedTensors& tensors, const ProcessGroup& group) {
  constexpr size_t kBytesOfMessage = size_t{25} << 20;  // as torch's DistributedDataParallel
  std::vector<at::Tensor> values;
  for (const auto& [path, tensor] : tensors) {
    if (tensor.numel() > 0) values.push_back(tensor.detach());
  }
  if (!values.empty()) c10d::broadcast_coalesced(group.c10d(), values, kBytesOfMessage);
}

at::Device device_of(const ProcessGroup& group) {
  const auto devices = group.c10d()->getDeviceTypes();
  check(!devices.empty(), "the process group has no backend; call setBackend() or use init_process_group()");
  const bool has_cpu = std::any_of(devices.begin(), devices.end(), [](const at::Device& device) { return device.is_cpu(); });
  return has_cpu ? at::Device(at::kCPU) : devices.front();
}

void check_same_model(const std::string& caller, const std::vector<std::string>& lines, const ProcessGroup& group) {
  const std::string text = c10::Join("\n", lines) + "\n";
  const std::string digest = c10::sha1(text).str();
  std::vector<int64_t> words;
  for (size_t i = 0; i < digest.size(); i += 10) words.push_back(std::stoll(digest.substr(i, 10), nullptr, 16));
  at::Tensor lowest = at::tensor(words, at::TensorOptions(device_of(group)).dtype(at::kLong));
  at::Tensor highest = lowest.clone();
  GroupReduction reduction(group);
  reduction.min(lowest);
  reduction.max(highest);
  if (lowest.equal(highest)) return;

  std::istringstream of_rank_0(broadcast_text(text, group));
  for (size_t i = 0; i <= lines.size(); ++i) {
    std::string expected;
    const bool ends = !std::getline(of_rank_0, expected);
    if (ends && i == lines.size()) break;
    if (!ends && i < lines.size() && lines[i] == expected) continue;
    fail(caller, ": the processes do not have the same model. Rank ", group.rank(), " has \"",
         i < lines.size() ? lines[i] : "nothing more", "\", where rank 0 has \"", ends ? "nothing more" : expected,
         "\"; build and prepare it alike on all of them");
  }
  fail(caller, ": the processes do not have the same model. Rank ", group.rank(),
       " has that of rank 0, but another has not, and says where; build and prepare it alike on all of them");
}

}  // namespace octet::distributed
