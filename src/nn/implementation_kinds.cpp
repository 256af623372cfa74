#include <octet/nn/dynamic_linear.h>
#include <octet/nn/dynamic_rnn.h>
#include <octet/nn/dynamic_rnn_cells.h>
#include <octet/nn/implementation_kinds.h>
#include <octet/nn/intrinsic_qat.h>
#include <octet/nn/qat.h>
#include <octet/nn/qfunctional.h>
#include <octet/nn/quantize.h>
#include <octet/nn/quantized_activation.h>
#include <octet/nn/quantized_conv.h>
#include <octet/nn/quantized_embedding.h>
#include <octet/nn/quantized_linear.h>
#include <octet/nn/quantized_lstm.h>
#include <octet/nn/quantized_multihead_attention.h>
#include <octet/nn/quantized_normalization.h>

namespace octet::nn {

ImplementationKinds& ImplementationKinds::set(const std::string& kind, FromState from_state) {
  check(from_state != nullptr, "ImplementationKinds: got an empty function for \"", kind, "\"");
  kinds_[kind] = std::move(from_state);
  return *this;
}

const ImplementationKinds::FromState& ImplementationKinds::at(const std::string& kind, const std::string& path) const {
  const auto found = kinds_.find(kind);
  if (found != kinds_.end()) return found->second;
  std::string known;
  for (const auto& [name, from_state] : kinds_) known += "\n  " + name;
  fail(path, ": unknown kind of module \"", kind, "\"; give load() an ImplementationKinds that has it. Known:", known);
}

const ImplementationKinds& default_implementation_kinds() {
  namespace dynamic = quantized::dynamic;
  static const ImplementationKinds kinds =
      ImplementationKinds()
          .set<dynamic::Linear>("octet::nn::quantized::dynamic::Linear")
          .set<intrinsic::quantized::dynamic::LinearReLU>("octet::nn::intrinsic::quantized::dynamic::LinearReLU")
          .set<intrinsic::LinearReLUImpl>()
          .set<intrinsic::LinearLeakyReLUImpl>()
          .set<intrinsic::LinearTanhImpl>()
          .set<intrinsic::ConvReLU1dImpl>()
          .set<intrinsic::ConvReLU2dImpl>()
          .set<intrinsic::ConvReLU3dImpl>()
          .set<intrinsic::BNReLU2dImpl>()
          .set<intrinsic::BNReLU3dImpl>()
          .set<intrinsic::IdentityImpl>()
          .set<dynamic::LSTM>("octet::nn::quantized::dynamic::LSTM")
          .set<dynamic::GRU>("octet::nn::quantized::dynamic::GRU")
          .set<dynamic::LSTMCell>("octet::nn::quantized::dynamic::LSTMCell")
          .set<dynamic::GRUCell>("octet::nn::quantized::dynamic::GRUCell")
          .set<dynamic::RNNCell>("octet::nn::quantized::dynamic::RNNCell")
          .set<quantized::Embedding>("octet::nn::quantized::Embedding")
          .set<quantized::EmbeddingBag>("octet::nn::quantized::EmbeddingBag")
          .set<quantized::Quantize>()
          .set<quantized::DeQuantize>()
          .set<quantized::QFunctional>()
          .set<quantized::Linear>()
          .set<intrinsic::quantized::LinearReLU>()
          .set<intrinsic::quantized::LinearLeakyReLU>()
          .set<intrinsic::quantized::LinearTanh>()
          .set<quantized::LSTM>()
          .set<quantized::MultiheadAttention>()
          .set<quantized::Conv1d>()
          .set<quantized::Conv2d>()
          .set<quantized::Conv3d>()
          .set<intrinsic::quantized::ConvReLU1d>()
          .set<intrinsic::quantized::ConvReLU2d>()
          .set<intrinsic::quantized::ConvReLU3d>()
          .set<intrinsic::quantized::ConvAdd2d>()
          .set<intrinsic::quantized::ConvAddReLU2d>()
          .set<quantized::ConvTranspose1d>()
          .set<quantized::ConvTranspose2d>()
          .set<quantized::ConvTranspose3d>()
          .set<quantized::ELU>()
          .set<quantized::LeakyReLU>()
          .set<quantized::Hardswish>()
          .set<quantized::Sigmoid>()
          .set<quantized::Tanh>()
          .set<quantized::Hardsigmoid>()
          .set<quantized::SiLU>()
          .set<quantized::GELU>()
          .set<quantized::ReLU6>()
          .set<quantized::PReLU>()
          .set<quantized::Softmax>()
          .set<quantized::Dropout>()
          .set<quantized::LayerNorm>()
          .set<quantized::GroupNorm>()
          .set<quantized::InstanceNorm1d>()
          .set<quantized::InstanceNorm2d>()
          .set<quantized::InstanceNorm3d>()
          .set<quantized::BatchNorm2d>()
          .set<quantized::BatchNorm3d>()
          .set<intrinsic::quantized::BNReLU2d>()
          .set<intrinsic::quantized::BNReLU3d>()
          .set<intrinsic::ConvBn1dImpl>()
          .set<intrinsic::ConvBn2dImpl>()
          .set<intrinsic::ConvBn3dImpl>()
          .set<intrinsic::ConvBnReLU1dImpl>()
          .set<intrinsic::ConvBnReLU2dImpl>()
          .set<intrinsic::ConvBnReLU3dImpl>()
          .set<intrinsic::LinearBn1dImpl>()
          .set<intrinsic::LinearBnReLU1dImpl>()
          .set<intrinsic::ConvTransposeBn1dImpl>()
          .set<intrinsic::ConvTransposeBn2dImpl>()
          .set<intrinsic::ConvTransposeBn3dImpl>()
          .set<qat::LinearImpl>()
          .set<qat::Conv1dImpl>()
          .set<qat::Conv2dImpl>()
          .set<qat::Conv3dImpl>()
          .set<qat::ConvTranspose1dImpl>()
          .set<qat::ConvTranspose2dImpl>()
          .set<qat::ConvTranspose3dImpl>()
          .set<qat::EmbeddingImpl>()
          .set<qat::EmbeddingBagImpl>()
          .set<qat::dynamic::LinearImpl>()
          .set<intrinsic::qat::LinearReLUImpl>()
          .set<intrinsic::qat::ConvReLU1dImpl>()
          .set<intrinsic::qat::ConvReLU2dImpl>()
          .set<intrinsic::qat::ConvReLU3dImpl>()
          .set<intrinsic::qat::ConvAdd2dImpl>()
          .set<intrinsic::qat::ConvAddReLU2dImpl>()
          .set<intrinsic::qat::ConvBn1dImpl>()
          .set<intrinsic::qat::ConvBn2dImpl>()
          .set<intrinsic::qat::ConvBn3dImpl>()
          .set<intrinsic::qat::ConvBnReLU1dImpl>()
          .set<intrinsic::qat::ConvBnReLU2dImpl>()
          .set<intrinsic::qat::ConvBnReLU3dImpl>()
          .set<intrinsic::qat::LinearBn1dImpl>()
          .set<intrinsic::qat::LinearBnReLU1dImpl>()
          .set<intrinsic::qat::ConvTransposeBn1dImpl>()
          .set<intrinsic::qat::ConvTransposeBn2dImpl>()
          .set<intrinsic::qat::ConvTransposeBn3dImpl>();
  return kinds;
}

}  // namespace octet::nn
