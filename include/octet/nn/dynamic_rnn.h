#pragma once

#include <octet/nn/modules.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>

namespace octet::nn::quantized {

class RecurrentStack;

namespace dynamic {

/// What LSTM and GRU have in common: layers of cells with qint8 or float16 weights and float activations, which are quantized
/// anew with each call, as torch.ao.nn.quantized.dynamic has them: the inputs of a layer all at once, its hidden state at each
/// step. Every option of the float module is copied but `proj_size`, which is refused. Results never require grad.
///
/// Inputs are float32, on the CPU and finite: [time, batch, input_size], with batch_first [batch, time, input_size], or
/// [time, input_size]; else Error. Dropout between the layers is active in training mode only. Made by from_float and from_state.
template <class Self, class SlotType>
class Recurrent : public SlotType::Implementation {
 public:
  using Float = typename SlotType::FloatModule;
  using Hidden = typename SlotType::Hidden;
  using Result = decltype(std::declval<Float&>().forward(std::declval<const at::Tensor&>()));
  using PackedResult = typename SlotType::PackedResult;

  /// @param qconfig  its weight observer chooses qint8 or float16, its activation observer the range and whether per row: then
  ///                 a sequence's result does not depend on the others in its batch
  /// @param path     of the module, for error messages
  /// @return one in the training mode of `module`
  /// @throws Error for weights that cannot be quantized and for proj_size
  static std::shared_ptr<Self> from_float(const Float& module, const QConfig& qconfig, const std::string& path);

  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<Self> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  Result forward(const at::Tensor& input, Hidden hx = {}) override;
  PackedResult forward_with_packed_input(const torch::nn::utils::rnn::PackedSequence& packed_input, Hidden hx = {}) override;

  std::string kind() const override;
  /// Torch's names: `weight_ih_l0`, `weight_ih_l0_scale`, `weight_ih_l0_zero_point`, `bias_ih_l0`, ...
  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override;
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override;
  void pretty_print(std::ostream& stream) const override;

 private:
  explicit Recurrent(std::shared_ptr<const RecurrentStack> stack) : stack_(std::move(stack)) {}

  std::shared_ptr<const RecurrentStack> stack_;  // shared by clones
};

class LSTMImpl : public Recurrent<LSTMImpl, nn::LSTMImpl> {
  using Recurrent::Recurrent;
};
TORCH_MODULE(LSTM);

class GRUImpl : public Recurrent<GRUImpl, nn::GRUImpl> {
  using Recurrent::Recurrent;
};
TORCH_MODULE(GRU);

extern template class Recurrent<LSTMImpl, nn::LSTMImpl>;
extern template class Recurrent<GRUImpl, nn::GRUImpl>;

}  // namespace dynamic
}  // namespace octet::nn::quantized
