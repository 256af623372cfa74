#include "work.h"

#include <octet/octet.h>

#include <torch/torch.h>

#include <vector>

namespace bench {
namespace {

namespace nn = octet::nn;

/// A weight that is read once for all outputs, each of which is a sum over all but its first dimension.
/// @param output  of a transposed convolution the input, each of which is spread over as many outputs
Work of_weight(const at::Tensor& weight, const at::Tensor& output) {
  const auto numbers = static_cast<double>(weight.numel());
  return {static_cast<double>(output.numel()) * numbers / static_cast<double>(weight.size(0)), numbers, numbers};
}

/// The inputs' products are one for the whole sequence, those of the states follow each other.
Work of_recurrent(const torch::nn::Module& module, const at::Tensor& input, bool batch_first) {
  const int64_t steps = input.size(batch_first ? 1 : 0), batch = input.size(batch_first ? 0 : 1);
  Work work;
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    if (!parameter.key().starts_with("weight_")) continue;
    const auto numbers = static_cast<double>(parameter.value().numel());
    work.macs += static_cast<double>(steps * batch) * numbers;
    work.weights += numbers;
    work.weights_read += numbers * (parameter.key().starts_with("weight_ih") ? 1.0 : static_cast<double>(steps));
  }
  return work;
}

Work of(const torch::nn::Module& module, const at::Tensor& input, const at::Tensor& output) {
  if (const auto* const linear = module.as<torch::nn::LinearImpl>()) return of_weight(linear->weight, output);
  if (const auto* const conv = module.as<torch::nn::Conv2dImpl>()) return of_weight(conv->weight, output);
  if (const auto* const conv = module.as<torch::nn::Conv3dImpl>()) return of_weight(conv->weight, output);
  if (const auto* const conv = module.as<torch::nn::ConvTranspose2dImpl>()) return of_weight(conv->weight, input);
  if (const auto* const lstm = module.as<torch::nn::LSTMImpl>()) return of_recurrent(module, input, lstm->options.batch_first());
  if (const auto* const gru = module.as<torch::nn::GRUImpl>()) return of_recurrent(module, input, gru->options.batch_first());
  return {};
}

}  // namespace

Work count_work(torch::nn::Module& model, const std::function<void()>& forward) {
  Work total;
  std::vector<nn::HookHandle> handles;
  for (const auto& module : model.modules()) {
    if (auto* const slot = nn::as_slot(*module)) {
      handles.push_back(slot->register_forward_hook(
          [&](torch::nn::Module& self, const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs) {
            const Work work = of(self, inputs.front(), outputs.front());
            total.macs += work.macs;
            total.weights += work.weights;
            total.weights_read += work.weights_read;
          }));
    }
  }
  forward();
  for (nn::HookHandle& handle : handles) handle.remove();
  return total;
}

}  // namespace bench
