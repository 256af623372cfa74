#include <octet/nn/dynamic_rnn.h>

#include <nn/hidden_states.h>
#include <nn/recurrent_stack.h>

#include <ostream>

namespace octet::nn::quantized::dynamic {
namespace {

template <class Float>
const CellKind& kind_of() {
  return std::is_same_v<Float, torch::nn::LSTMImpl> ? kLstm : kGru;
}

}  // namespace

template <class Self, class SlotType>
std::shared_ptr<Self> Recurrent<Self, SlotType>::from_float(const Float& module, const QConfig& qconfig,
                                                            const std::string& path) {
  auto stack = RecurrentStack::from_float(kind_of<Float>(), RecurrentOptions::from(module.options, path),
                                          module.named_parameters(/*recurse=*/false), qconfig, path);
  const std::shared_ptr<Self> made(new Self(std::make_shared<RecurrentStack>(std::move(stack))));
  made->train(module.is_training());
  return made;
}

template <class Self, class SlotType>
std::shared_ptr<Self> Recurrent<Self, SlotType>::from_state(const StateDict& state, const Attributes& attributes,
                                                            const std::string& path) {
  auto stack = RecurrentStack::from_state(kind_of<Float>(), state, attributes, path);
  return std::shared_ptr<Self>(new Self(std::make_shared<RecurrentStack>(std::move(stack))));
}

template <class Self, class SlotType>
auto Recurrent<Self, SlotType>::forward(const at::Tensor& input, Hidden hx) -> Result {
  auto [output, states] = stack_->forward(input, to_states(hx), this->is_training());
  return {output, from_states<std::tuple_element_t<1, Result>>(states)};
}

template <class Self, class SlotType>
auto Recurrent<Self, SlotType>::forward_with_packed_input(const torch::nn::utils::rnn::PackedSequence& packed_input, Hidden hx)
    -> PackedResult {
  auto [output, states] = stack_->forward_packed(packed_input, to_states(hx), this->is_training());
  return {output, from_states<std::tuple_element_t<1, PackedResult>>(states)};
}

template <class Self, class SlotType>
std::string Recurrent<Self, SlotType>::kind() const {
  return std::string("octet::nn::quantized::dynamic::") + kind_of<Float>().name;
}

template <class Self, class SlotType>
StateDict Recurrent<Self, SlotType>::state_dict() const {
  return stack_->state_dict();
}

template <class Self, class SlotType>
Attributes Recurrent<Self, SlotType>::attributes() const {
  return stack_->attributes();
}

template <class Self, class SlotType>
int64_t Recurrent<Self, SlotType>::weight_bytes() const {
  return stack_->weight_bytes();
}

template <class Self, class SlotType>
std::shared_ptr<torch::nn::Module> Recurrent<Self, SlotType>::clone(const std::optional<torch::Device>&) const {
  return std::make_shared<Self>(static_cast<const Self&>(*this));
}

template <class Self, class SlotType>
void Recurrent<Self, SlotType>::pretty_print(std::ostream& stream) const {
  stream << kind() << "(" << stack_->options() << ", dtype=" << stack_->dtype();
  if (stack_->per_row()) stream << ", per_row=true";
  stream << ")";
}

template class Recurrent<LSTMImpl, nn::LSTMImpl>;
template class Recurrent<GRUImpl, nn::GRUImpl>;

}  // namespace octet::nn::quantized::dynamic
