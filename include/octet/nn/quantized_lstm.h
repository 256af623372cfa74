#pragma once

#include <octet/nn/implementation_of.h>
#include <octet/nn/modules.h>
#include <octet/observe/qconfig.h>

#include <memory>
#include <string>
#include <tuple>

namespace octet::nn::quantized {

/// LSTM in integers from end to end: int8 weights, quantized inputs, states and results, as torch.ao.nn.quantized.LSTM. Sigmoid
/// and tanh are tables with the fixed ranges 0 .. 255/256 and -1 .. 127/128. Immutable; clones share the weights.
class LSTMImpl : public ImplementationOf<LSTMImpl, nn::LSTMImpl::Implementation> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::LSTM";
  using Result = std::tuple<at::Tensor, std::tuple<at::Tensor, at::Tensor>>;

  /// The options, and the cells.
  struct Layers;
  explicit LSTMImpl(std::shared_ptr<const Layers> layers) : layers_(std::move(layers)) {}

  /// @param module  in a slot with a calibrated quantizable::LSTM
  /// @throws Error for other modules, for weights that can't be quantized to qint8, for a part that calibration did not reach
  static std::shared_ptr<LSTMImpl> from_float(const torch::nn::LSTMImpl& module, const QConfig& qconfig, const std::string& path);

  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<LSTMImpl> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  /// @param input  quint8 or qint8 per tensor, [time, batch, input_size], with batch_first [batch, time, input_size], or
  ///               [time, input_size]
  /// @param hx     quantized, [layers * directions, batch, hidden_size] each, without `batch` if the input has none; zeros
  ///               where it is not given. `c` has the dtype that the module was calibrated for
  /// @return the output and the last states. They have the scale of the first of the cells that they come from (of the last
  ///         layer's, for the output); what is beyond its range is clamped
  /// @throws Error for float tensors and other shapes
  Result forward(const at::Tensor& input, Hidden hx = {}) override;

  /// @throws Error always
  PackedResult forward_with_packed_input(const torch::nn::utils::rnn::PackedSequence& packed_input, Hidden hx = {}) override;

  /// torch.ao's names: `layers.0.layer_fw.cell.igates.weight`, ... `.igates.scale`, ... `.fgate_cx.zero_point`.
  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override;
  void pretty_print(std::ostream& stream) const override;

 private:
  std::shared_ptr<const Layers> layers_;  // shared by clones
};
TORCH_MODULE(LSTM);

}  // namespace octet::nn::quantized
