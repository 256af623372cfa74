#include <octet/nn/dynamic_linear.h>
#include <octet/nn/dynamic_rnn.h>
#include <octet/nn/dynamic_rnn_cells.h>
#include <octet/nn/quantized_embedding.h>
#include <octet/workflow/mappings.h>

namespace octet {

ModuleMappings& ModuleMappings::set(std::type_index float_type, FromFloat from_float) {
  check(from_float != nullptr, "ModuleMappings: got an empty function for ", float_type.name());
  pairs_[float_type] = std::move(from_float);
  return *this;
}

const ModuleMappings::FromFloat* ModuleMappings::find(std::type_index float_type) const {
  const auto found = pairs_.find(float_type);
  return found == pairs_.end() ? nullptr : &found->second;
}

const ModuleMappings& default_dynamic_quant_module_mappings() {
  namespace dynamic = nn::quantized::dynamic;
  static const ModuleMappings mappings = ModuleMappings()
                                             .set<nn::Linear, dynamic::Linear>()
                                             .set<nn::intrinsic::LinearReLUImpl, nn::intrinsic::quantized::dynamic::LinearReLU>()
                                             .set<nn::LSTM, dynamic::LSTM>()
                                             .set<nn::GRU, dynamic::GRU>()
                                             .set<nn::LSTMCell, dynamic::LSTMCell>()
                                             .set<nn::GRUCell, dynamic::GRUCell>()
                                             .set<nn::RNNCell, dynamic::RNNCell>()
                                             .set<nn::Embedding, nn::quantized::Embedding>()
                                             .set<nn::EmbeddingBag, nn::quantized::EmbeddingBag>();
  return mappings;
}

}  // namespace octet
