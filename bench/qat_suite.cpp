// Training steps (forward, backward, SGD) of ResNet-18 and MobileNetV2 on a random batch: in float, with Octet's
// quantization-aware training, and with torch.ao's, where Python has its torch. Their memory is that of tensors, at its peak in a
// step.

#include "cases.h"
#include "cpu_memory.h"
#include "python_process.h"

#include <octet/models/mobilenet_v2.h>
#include <octet/models/resnet.h>
#include <octet/octet.h>

#include <fmt/format.h>
#include <torch/torch.h>

#include <cstdlib>
#include <limits>
#include <memory>

namespace bench {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// A network that learns one batch again and again.
template <class Net>
class Trainee {
 public:
  Trainee(Net net, int64_t batch)
      : net_(std::move(net)),
        optimizer_(net_->parameters(), torch::optim::SGDOptions(1e-3)),
        x_(torch::randn({batch, 3, 224, 224})),
        labels_(torch::randint(1000, {batch}, torch::kLong)) {}

  at::Tensor forward() {
    optimizer_.zero_grad();
    return torch::nn::functional::cross_entropy(net_->forward(x_), labels_);
  }
  void step() {
    forward().backward();
    optimizer_.step();
  }

  struct Memory {
    int64_t activations;  ///< what forward leaves for backward
    int64_t peak;
  };
  Memory memory() {
    step();  // gradients are there
    const CpuMemoryCounter counter;
    const at::Tensor loss = forward();
    const int64_t activations = counter.bytes();
    loss.backward();
    return {activations, counter.peak_bytes()};
  }

 private:
  Net net_;
  torch::optim::SGD optimizer_;
  at::Tensor x_, labels_;
};

/// torch.ao's training, in a process that starts with the first step, since then the number of threads is known.
std::function<void()> torch_ao_step(const std::string& network, int64_t batch) {
  struct State {
    int threads = 0;
    std::unique_ptr<PythonProcess> process;
  };
  return [state = std::make_shared<State>(), network, batch] {
    if (!state->process || state->threads != at::get_num_threads()) {
      state->threads = at::get_num_threads();
      state->process = std::make_unique<PythonProcess>(
          std::vector<std::string>{OCTET_PYTHON, "-B", OCTET_BENCH_DIR "/torch_ao_qat.py", network, std::to_string(batch),
                                   std::to_string(state->threads)});
    }
    state->process->ask("step");
  };
}

bool has_torch_ao() { return std::system(OCTET_PYTHON " -c 'import torch.ao.quantization' 2>/dev/null") == 0; }

template <class Net>
std::vector<Implementation> build(const std::string& network, Net net, int64_t batch) {
  Net fused = octet::clone_model(net);
  net->train();
  fused->train();
  fused->fuse_model();
  octet::prepare_qat(*fused, octet::get_default_qat_qconfig("octet"));
  const auto plain = std::make_shared<Trainee<Net>>(net, batch), qat = std::make_shared<Trainee<Net>>(fused, batch);
  const auto plain_memory = plain->memory(), qat_memory = qat->memory();
  const double extra = static_cast<double>(qat_memory.peak - plain_memory.peak) / static_cast<double>(plain_memory.activations);
  std::vector<Implementation> all{{.name = "octet_fp32",
                                   .run = [plain] { plain->step(); },
                                   .sqnr_db = kNone,
                                   .size_bytes = plain_memory.peak,
                                   .extra_memory = 0},
                                  {.name = "octet_qat",
                                   .run = [qat] { qat->step(); },
                                   .sqnr_db = kNone,
                                   .size_bytes = qat_memory.peak,
                                   .extra_memory = extra}};
  if (has_torch_ao()) {
    all.push_back({.name = "torch_ao_qat", .run = torch_ao_step(network, batch), .sqnr_db = kNone, .size_bytes = 0});
  } else {
    fmt::print(stderr, "no torch_ao_qat: {} has no torch.ao\n", OCTET_PYTHON);
  }
  return all;
}

template <class Make>
Case training_case(const std::string& network, const Make& make, int64_t batch) {
  return {fmt::format("{}_b{}", network, batch), [network, make, batch] {
            torch::manual_seed(1);
            return build(network, make(), batch);
          }};
}

}  // namespace

Suite qat_suite() {
  return {"qat",
          {training_case(
               "resnet18", [] { return octet::models::resnet18(); }, 8),
           training_case(
               "mobilenetv2", [] { return octet::models::MobileNetV2(); }, 8)},
          "peak MB"};
}

}  // namespace bench
