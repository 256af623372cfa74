#pragma once

#include <octet/nn/implementation_of.h>
#include <octet/nn/modules.h>
#include <octet/nn/observed_implementation.h>
#include <octet/observe/qconfig.h>

#include <memory>
#include <optional>
#include <string>
#include <tuple>

namespace octet::nn::quantizable {

/// What prepare() puts into an LSTM: its cells in parts, each result with an observer of its own. torch.ao.nn.quantizable.LSTM.
/// Each cell, "layers.<n>.layer_fw.cell" and for the reverse direction "layers.<n>.layer_bw.cell", has the parts `igates` and
/// `hgates` (the two products), `gates` (their sum), `fgate_cx`, `igate_cgate`, `fgate_cx_igate_cgate` (the cell state) and
/// `ogate_cy` (the hidden state). The ranges of sigmoid and tanh are known; they are not observed.
class LSTMImpl : public ImplementationOf<LSTMImpl, ObservedImplementation<detail::ForwardSignatureOf<torch::nn::LSTMImpl>>> {
 public:
  static constexpr const char* kKind = "octet::nn::quantizable::LSTM";
  using Wrapped = torch::nn::LSTMImpl;
  using Hidden = std::optional<std::tuple<at::Tensor, at::Tensor>>;
  using Result = std::tuple<at::Tensor, std::tuple<at::Tensor, at::Tensor>>;

  using ImplementationOf::ImplementationOf;

  /// @throws Error for proj_size
  static std::shared_ptr<LSTMImpl> from_float(const torch::nn::LSTMImpl& module, const QConfig& qconfig, const std::string& path);

  /// What the float module computes, but for dropout, which is left out as in torch.ao. Packed sequences are refused.
  /// @param input  float, [time, batch, input_size], with batch_first [batch, time, input_size], or [time, input_size]
  /// @throws Error for inputs and states of other shapes
  Result forward(torch::nn::Module& float_module, const at::Tensor& input, Hidden hx = {}) override;
};
TORCH_MODULE(LSTM);

}  // namespace octet::nn::quantizable
