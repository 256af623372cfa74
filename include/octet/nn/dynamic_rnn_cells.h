#pragma once

#include <octet/nn/modules.h>

#include <memory>
#include <string>
#include <utility>

namespace octet::nn::quantized {

class RecurrentCell;

namespace dynamic {

/// What LSTMCell, GRUCell and RNNCell have in common: qint8 or float16 weights, and float activations that are quantized anew
/// with each call. torch.ao.nn.quantized.dynamic.LSTMCell and its siblings. Results never require grad.
///
/// Inputs are float32, on the CPU and finite: [batch, input_size] or [input_size]; else Error. Made by from_float and from_state.
template <class Self, class SlotType>
class Cell : public SlotType::Implementation {
 public:
  using Float = typename SlotType::FloatModule;
  using Result = decltype(std::declval<Float&>().forward(std::declval<const at::Tensor&>()));
  /// What forward takes as hidden state: h for GRUCell and RNNCell, optional (h, c) for LSTMCell.
  using Hidden = std::conditional_t<std::is_same_v<Result, at::Tensor>, const at::Tensor&,
                                    std::optional<std::tuple<at::Tensor, at::Tensor>>>;

  /// @param qconfig  its weight observer chooses qint8 or float16, its activation observer the range and whether per row
  /// @param path     of the module, for error messages
  /// @throws Error for weights that cannot be quantized
  static std::shared_ptr<Self> from_float(const Float& module, const QConfig& qconfig, const std::string& path);

  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<Self> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  Result forward(const at::Tensor& input, Hidden hx = {}) override;

  std::string kind() const override;
  /// `weight_ih`, `weight_ih_scale`, `weight_ih_zero_point`, `bias_ih`, `weight_hh`, ...
  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override;
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override;
  void pretty_print(std::ostream& stream) const override;

 private:
  explicit Cell(std::shared_ptr<const RecurrentCell> cell) : cell_(std::move(cell)) {}

  std::shared_ptr<const RecurrentCell> cell_;  // shared by clones
};

class LSTMCellImpl : public Cell<LSTMCellImpl, nn::LSTMCellImpl> {
  using Cell::Cell;
};
TORCH_MODULE(LSTMCell);

class GRUCellImpl : public Cell<GRUCellImpl, nn::GRUCellImpl> {
  using Cell::Cell;
};
TORCH_MODULE(GRUCell);

class RNNCellImpl : public Cell<RNNCellImpl, nn::RNNCellImpl> {
  using Cell::Cell;
};
TORCH_MODULE(RNNCell);

extern template class Cell<LSTMCellImpl, nn::LSTMCellImpl>;
extern template class Cell<GRUCellImpl, nn::GRUCellImpl>;
extern template class Cell<RNNCellImpl, nn::RNNCellImpl>;

}  // namespace dynamic
}  // namespace octet::nn::quantized
