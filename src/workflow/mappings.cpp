#include <octet/nn/dynamic_linear.h>
#include <octet/nn/dynamic_rnn.h>
#include <octet/nn/dynamic_rnn_cells.h>
#include <octet/nn/qfunctional.h>
#include <octet/nn/quantizable_lstm.h>
#include <octet/nn/quantizable_multihead_attention.h>
#include <octet/nn/quantize.h>
#include <octet/nn/quantized_activation.h>
#include <octet/nn/quantized_conv.h>
#include <octet/nn/quantized_embedding.h>
#include <octet/nn/quantized_linear.h>
#include <octet/nn/quantized_normalization.h>
#include <octet/nn/quantized_lstm.h>
#include <octet/nn/quantized_multihead_attention.h>
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

const ModuleMappings& default_static_quant_module_mappings() {
  namespace fused = nn::intrinsic;
  namespace fused_quantized = nn::intrinsic::quantized;
  static const ModuleMappings mappings = ModuleMappings()
                                             .set<nn::QuantStub, nn::quantized::Quantize>()
                                             .set<nn::DeQuantStub, nn::quantized::DeQuantize>()
                                             .set<nn::FloatFunctional, nn::quantized::QFunctional>()
                                             .set<nn::Linear, nn::quantized::Linear>()
                                             .set<nn::quantizable::LSTM, nn::quantized::LSTM>()
                                             .set<nn::quantizable::MultiheadAttention, nn::quantized::MultiheadAttention>()
                                             .set<fused::LinearReLUImpl, fused_quantized::LinearReLU>()
                                             .set<fused::LinearLeakyReLUImpl, fused_quantized::LinearLeakyReLU>()
                                             .set<fused::LinearTanhImpl, fused_quantized::LinearTanh>()
                                             .set<nn::Conv1d, nn::quantized::Conv1d>()
                                             .set<nn::Conv2d, nn::quantized::Conv2d>()
                                             .set<nn::Conv3d, nn::quantized::Conv3d>()
                                             .set<fused::ConvReLU1dImpl, fused_quantized::ConvReLU1d>()
                                             .set<fused::ConvReLU2dImpl, fused_quantized::ConvReLU2d>()
                                             .set<fused::ConvReLU3dImpl, fused_quantized::ConvReLU3d>()
                                             .set<fused::ConvAdd2d, fused_quantized::ConvAdd2d>()
                                             .set<fused::ConvAddReLU2d, fused_quantized::ConvAddReLU2d>()
                                             .set<nn::ConvTranspose1d, nn::quantized::ConvTranspose1d>()
                                             .set<nn::ConvTranspose2d, nn::quantized::ConvTranspose2d>()
                                             .set<nn::ConvTranspose3d, nn::quantized::ConvTranspose3d>()
                                             .set<nn::BatchNorm2d, nn::quantized::BatchNorm2d>()
                                             .set<nn::BatchNorm3d, nn::quantized::BatchNorm3d>()
                                             .set<fused::BNReLU2dImpl, fused_quantized::BNReLU2d>()
                                             .set<fused::BNReLU3dImpl, fused_quantized::BNReLU3d>()
                                             .set<nn::GroupNorm, nn::quantized::GroupNorm>()
                                             .set<nn::InstanceNorm1d, nn::quantized::InstanceNorm1d>()
                                             .set<nn::InstanceNorm2d, nn::quantized::InstanceNorm2d>()
                                             .set<nn::InstanceNorm3d, nn::quantized::InstanceNorm3d>()
                                             .set<nn::LayerNorm, nn::quantized::LayerNorm>()
                                             .set<nn::Dropout, nn::quantized::Dropout>()
                                             .set<nn::ELU, nn::quantized::ELU>()
                                             .set<nn::GELU, nn::quantized::GELU>()
                                             .set<nn::Hardsigmoid, nn::quantized::Hardsigmoid>()
                                             .set<nn::Hardswish, nn::quantized::Hardswish>()
                                             .set<nn::LeakyReLU, nn::quantized::LeakyReLU>()
                                             .set<nn::PReLU, nn::quantized::PReLU>()
                                             .set<nn::ReLU6, nn::quantized::ReLU6>()
                                             .set<nn::SiLU, nn::quantized::SiLU>()
                                             .set<nn::Sigmoid, nn::quantized::Sigmoid>()
                                             .set<nn::Softmax, nn::quantized::Softmax>()
                                             .set<nn::Tanh, nn::quantized::Tanh>()
                                             .set<nn::Embedding, nn::quantized::Embedding>()
                                             .set<nn::EmbeddingBag, nn::quantized::EmbeddingBag>();
  return mappings;
}

const ModuleMappings& default_float_to_observed_custom_module_mappings() {
  static const ModuleMappings mappings =
      ModuleMappings().set<nn::LSTM, nn::quantizable::LSTM>().set<nn::MultiheadAttention, nn::quantizable::MultiheadAttention>();
  return mappings;
}

}  // namespace octet
