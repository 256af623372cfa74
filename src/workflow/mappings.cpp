#include <octet/nn/dynamic_linear.h>
#include <octet/nn/dynamic_rnn.h>
#include <octet/nn/dynamic_rnn_cells.h>
#include <octet/nn/intrinsic_qat.h>
#include <octet/nn/qat.h>
#include <octet/nn/qfunctional.h>
#include <octet/nn/quantizable_lstm.h>
#include <octet/nn/quantizable_multihead_attention.h>
#include <octet/nn/quantize.h>
#include <octet/nn/quantized_activation.h>
#include <octet/nn/quantized_conv.h>
#include <octet/nn/quantized_embedding.h>
#include <octet/nn/quantized_linear.h>
#include <octet/nn/quantized_lstm.h>
#include <octet/nn/quantized_multihead_attention.h>
#include <octet/nn/quantized_normalization.h>
#include <octet/workflow/mappings.h>

namespace octet {
namespace {

namespace fused = nn::intrinsic;

/// A class, its form in quantization-aware training and the quantized one that this is converted to.
template <class FloatModule, class Trained, class Quantized>
struct Trainable {
  static void add_trained(ModuleMappings& mappings) { mappings.set<FloatModule, Trained>(); }
  static void add_quantized(ModuleMappings& mappings) { mappings.set<Trained, Quantized>(); }
};

template <class... Each>
struct Trainables {
  static void add_trained(ModuleMappings& mappings) { (Each::add_trained(mappings), ...); }
  static void add_quantized(ModuleMappings& mappings) { (Each::add_quantized(mappings), ...); }
};

using StaticTrainables =
    Trainables<Trainable<nn::Linear, nn::qat::LinearImpl, nn::quantized::Linear>,
               Trainable<nn::Conv1d, nn::qat::Conv1dImpl, nn::quantized::Conv1d>,
               Trainable<nn::Conv2d, nn::qat::Conv2dImpl, nn::quantized::Conv2d>,
               Trainable<nn::Conv3d, nn::qat::Conv3dImpl, nn::quantized::Conv3d>,
               Trainable<nn::ConvTranspose1d, nn::qat::ConvTranspose1dImpl, nn::quantized::ConvTranspose1d>,
               Trainable<nn::ConvTranspose2d, nn::qat::ConvTranspose2dImpl, nn::quantized::ConvTranspose2d>,
               Trainable<nn::ConvTranspose3d, nn::qat::ConvTranspose3dImpl, nn::quantized::ConvTranspose3d>,
               Trainable<nn::Embedding, nn::qat::EmbeddingImpl, nn::quantized::Embedding>,
               Trainable<nn::EmbeddingBag, nn::qat::EmbeddingBagImpl, nn::quantized::EmbeddingBag>,
               Trainable<fused::LinearReLUImpl, fused::qat::LinearReLUImpl, fused::quantized::LinearReLU>,
               Trainable<fused::ConvReLU1dImpl, fused::qat::ConvReLU1dImpl, fused::quantized::ConvReLU1d>,
               Trainable<fused::ConvReLU2dImpl, fused::qat::ConvReLU2dImpl, fused::quantized::ConvReLU2d>,
               Trainable<fused::ConvReLU3dImpl, fused::qat::ConvReLU3dImpl, fused::quantized::ConvReLU3d>,
               Trainable<fused::ConvAdd2d, fused::qat::ConvAdd2dImpl, fused::quantized::ConvAdd2d>,
               Trainable<fused::ConvAddReLU2d, fused::qat::ConvAddReLU2dImpl, fused::quantized::ConvAddReLU2d>,
               Trainable<fused::ConvBn1dImpl, fused::qat::ConvBn1dImpl, nn::quantized::Conv1d>,
               Trainable<fused::ConvBn2dImpl, fused::qat::ConvBn2dImpl, nn::quantized::Conv2d>,
               Trainable<fused::ConvBn3dImpl, fused::qat::ConvBn3dImpl, nn::quantized::Conv3d>,
               Trainable<fused::ConvBnReLU1dImpl, fused::qat::ConvBnReLU1dImpl, fused::quantized::ConvReLU1d>,
               Trainable<fused::ConvBnReLU2dImpl, fused::qat::ConvBnReLU2dImpl, fused::quantized::ConvReLU2d>,
               Trainable<fused::ConvBnReLU3dImpl, fused::qat::ConvBnReLU3dImpl, fused::quantized::ConvReLU3d>,
               Trainable<fused::LinearBn1dImpl, fused::qat::LinearBn1dImpl, nn::quantized::Linear>,
               Trainable<fused::LinearBnReLU1dImpl, fused::qat::LinearBnReLU1dImpl, fused::quantized::LinearReLU>,
               Trainable<fused::ConvTransposeBn1dImpl, fused::qat::ConvTransposeBn1dImpl, nn::quantized::ConvTranspose1d>,
               Trainable<fused::ConvTransposeBn2dImpl, fused::qat::ConvTransposeBn2dImpl, nn::quantized::ConvTranspose2d>,
               Trainable<fused::ConvTransposeBn3dImpl, fused::qat::ConvTransposeBn3dImpl, nn::quantized::ConvTranspose3d>>;

/// Linear as its qconfig has it: one with weights in groups takes and returns floats, as it does when quantize_dynamic() makes
/// it.
template <class Static, class Dynamic>
struct ConvertedLinear {
  static std::shared_ptr<nn::LinearImpl::Implementation> from_float(const torch::nn::LinearImpl& module, const QConfig& qconfig,
                                                                    const std::string& path) {
    if (qconfig.weight.target().group_size > 0) return Dynamic::from_float(module, qconfig, path);
    return Static::from_float(module, qconfig, path);
  }
};

ModuleMappings make_static() {
  ModuleMappings mappings;
  mappings.set<nn::QuantStub, nn::quantized::Quantize>()
      .set<nn::DeQuantStub, nn::quantized::DeQuantize>()
      .set<nn::FloatFunctional, nn::quantized::QFunctional>()
      .set<nn::Linear, ConvertedLinear<nn::quantized::LinearImpl, nn::quantized::dynamic::LinearImpl>>()
      .set<nn::quantizable::LSTM, nn::quantized::LSTM>()
      .set<nn::quantizable::MultiheadAttention, nn::quantized::MultiheadAttention>()
      .set<fused::LinearReLUImpl, ConvertedLinear<fused::quantized::LinearReLUImpl, fused::quantized::dynamic::LinearReLUImpl>>()
      .set<fused::LinearLeakyReLUImpl, fused::quantized::LinearLeakyReLU>()
      .set<fused::LinearTanhImpl, fused::quantized::LinearTanh>()
      .set<nn::Conv1d, nn::quantized::Conv1d>()
      .set<nn::Conv2d, nn::quantized::Conv2d>()
      .set<nn::Conv3d, nn::quantized::Conv3d>()
      .set<fused::ConvReLU1dImpl, fused::quantized::ConvReLU1d>()
      .set<fused::ConvReLU2dImpl, fused::quantized::ConvReLU2d>()
      .set<fused::ConvReLU3dImpl, fused::quantized::ConvReLU3d>()
      .set<fused::ConvAdd2d, fused::quantized::ConvAdd2d>()
      .set<fused::ConvAddReLU2d, fused::quantized::ConvAddReLU2d>()
      .set<nn::ConvTranspose1d, nn::quantized::ConvTranspose1d>()
      .set<nn::ConvTranspose2d, nn::quantized::ConvTranspose2d>()
      .set<nn::ConvTranspose3d, nn::quantized::ConvTranspose3d>()
      .set<nn::BatchNorm2d, nn::quantized::BatchNorm2d>()
      .set<nn::BatchNorm3d, nn::quantized::BatchNorm3d>()
      .set<fused::BNReLU2dImpl, fused::quantized::BNReLU2d>()
      .set<fused::BNReLU3dImpl, fused::quantized::BNReLU3d>()
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
  StaticTrainables::add_quantized(mappings);
  return mappings;
}

}  // namespace

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
                                             .set<nn::EmbeddingBag, nn::quantized::EmbeddingBag>()
                                             .set<nn::qat::dynamic::LinearImpl, dynamic::Linear>();
  return mappings;
}

const ModuleMappings& default_static_quant_module_mappings() {
  static const ModuleMappings mappings = make_static();
  return mappings;
}

const ModuleMappings& default_float_to_observed_custom_module_mappings() {
  static const ModuleMappings mappings =
      ModuleMappings().set<nn::LSTM, nn::quantizable::LSTM>().set<nn::MultiheadAttention, nn::quantizable::MultiheadAttention>();
  return mappings;
}

const ModuleMappings& default_qat_module_mappings() {
  static const ModuleMappings mappings = [] {
    ModuleMappings made;
    StaticTrainables::add_trained(made);
    return made;
  }();
  return mappings;
}

const ModuleMappings& dynamic_qat_module_mappings() {
  static const ModuleMappings mappings = ModuleMappings().set<nn::Linear, nn::qat::dynamic::LinearImpl>();
  return mappings;
}

}  // namespace octet
