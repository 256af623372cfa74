#include <octet/nn/attributes.h>
#include <octet/nn/dynamic_rnn_cells.h>
#include <octet/tensor/error.h>

#include <nn/hidden_states.h>
#include <nn/recurrent_stack.h>

#include <ostream>

namespace octet::nn::quantized::dynamic {
namespace {

/// @param relu  of an RNNCell
template <class Float>
const CellKind& kind_of(bool relu) {
  if constexpr (std::is_same_v<Float, torch::nn::LSTMCellImpl>) return kLstm;
  if constexpr (std::is_same_v<Float, torch::nn::GRUCellImpl>) return kGru;
  return relu ? kRnnRelu : kRnnTanh;
}

template <class Float>
bool has_relu(const Float& module) {
  if constexpr (requires { module.options.nonlinearity(); }) {
    return std::holds_alternative<torch::enumtype::kReLU>(module.options.nonlinearity());
  } else {
    return false;
  }
}

}  // namespace

template <class Self, class SlotType>
std::shared_ptr<Self> Cell<Self, SlotType>::from_float(const Float& module, const QConfig& qconfig, const std::string& path) {
  return std::shared_ptr<Self>(new Self(std::make_shared<RecurrentCell>(
      kind_of<Float>(has_relu(module)), CellParams::from_float(module.named_parameters(/*recurse=*/false), "", qconfig, path),
      LinearPackedParams::ActivationQParams::from(qconfig, path))));
}

template <class Self, class SlotType>
std::shared_ptr<Self> Cell<Self, SlotType>::from_state(const StateDict& state, const Attributes& attributes,
                                                       const std::string& path) {
  const std::string& nonlinearity = attribute<std::string>(attributes, "nonlinearity", path);
  check(nonlinearity == "tanh" || nonlinearity == "relu", path, ": the attribute \"nonlinearity\" is \"", nonlinearity,
        "\", expected tanh or relu");
  const CellKind& kind = kind_of<Float>(nonlinearity == "relu");
  CellParams params = CellParams::from_state(state, "", path);
  params.check_shapes(kind, params.ih.in_features(), params.hh.in_features(), path);
  return std::shared_ptr<Self>(new Self(
      std::make_shared<RecurrentCell>(kind, std::move(params), LinearPackedParams::ActivationQParams::from(attributes, path))));
}

template <class Self, class SlotType>
auto Cell<Self, SlotType>::forward(const at::Tensor& input, Hidden hx) -> Result {
  return from_states<Result>(cell_->forward(input, to_states(hx)));
}

template <class Self, class SlotType>
std::string Cell<Self, SlotType>::kind() const {
  return c10::str("octet::nn::quantized::dynamic::", cell_->kind().name, "Cell");
}

template <class Self, class SlotType>
StateDict Cell<Self, SlotType>::state_dict() const {
  StateDict state;
  cell_->params().append_to(state, "");
  return state;
}

template <class Self, class SlotType>
Attributes Cell<Self, SlotType>::attributes() const {
  Attributes attributes{{"nonlinearity", std::string(&cell_->kind() == &kRnnRelu ? "relu" : "tanh")}};
  cell_->activation().append_to(attributes);
  return attributes;
}

template <class Self, class SlotType>
int64_t Cell<Self, SlotType>::weight_bytes() const {
  return cell_->params().weight_bytes();
}

template <class Self, class SlotType>
std::shared_ptr<torch::nn::Module> Cell<Self, SlotType>::clone(const std::optional<torch::Device>&) const {
  return std::make_shared<Self>(static_cast<const Self&>(*this));
}

template <class Self, class SlotType>
void Cell<Self, SlotType>::pretty_print(std::ostream& stream) const {
  stream << kind() << "(" << cell_->input_size() << ", " << cell_->hidden_size();
  if (&cell_->kind() == &kRnnRelu) stream << ", nonlinearity=relu";
  stream << ", dtype=" << cell_->params().ih.dtype();
  if (cell_->activation().per_row) stream << ", per_row=true";
  stream << ")";
}

template class Cell<LSTMCellImpl, nn::LSTMCellImpl>;
template class Cell<GRUCellImpl, nn::GRUCellImpl>;
template class Cell<RNNCellImpl, nn::RNNCellImpl>;

}  // namespace octet::nn::quantized::dynamic
