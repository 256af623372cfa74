#include <octet/nn/dynamic_linear.h>
#include <octet/nn/dynamic_rnn.h>
#include <octet/nn/dynamic_rnn_cells.h>
#include <octet/nn/implementation_kinds.h>
#include <octet/nn/quantized_embedding.h>

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
          .set<intrinsic::LinearReLUImpl>("octet::nn::intrinsic::LinearReLU")
          .set<intrinsic::ConvReLU1dImpl>("octet::nn::intrinsic::ConvReLU1d")
          .set<intrinsic::ConvReLU2dImpl>("octet::nn::intrinsic::ConvReLU2d")
          .set<intrinsic::ConvReLU3dImpl>("octet::nn::intrinsic::ConvReLU3d")
          .set<intrinsic::BNReLU2dImpl>("octet::nn::intrinsic::BNReLU2d")
          .set<intrinsic::BNReLU3dImpl>("octet::nn::intrinsic::BNReLU3d")
          .set<intrinsic::IdentityImpl>("octet::nn::intrinsic::Identity")
          .set<dynamic::LSTM>("octet::nn::quantized::dynamic::LSTM")
          .set<dynamic::GRU>("octet::nn::quantized::dynamic::GRU")
          .set<dynamic::LSTMCell>("octet::nn::quantized::dynamic::LSTMCell")
          .set<dynamic::GRUCell>("octet::nn::quantized::dynamic::GRUCell")
          .set<dynamic::RNNCell>("octet::nn::quantized::dynamic::RNNCell")
          .set<quantized::Embedding>("octet::nn::quantized::Embedding")
          .set<quantized::EmbeddingBag>("octet::nn::quantized::EmbeddingBag");
  return kinds;
}

}  // namespace octet::nn
