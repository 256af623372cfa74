#pragma once

#include <octet/nn/implementation.h>
#include <octet/observe/qconfig.h>
#include <octet/tensor/error.h>

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <typeindex>

namespace octet {

namespace detail {

/// A module class from its holder, and from a slot the float class in it: nn::Linear -> torch::nn::LinearImpl.
template <class M>
struct ClassOf {
  using type = M;
};
template <class M>
  requires requires { typename M::ContainedType; }
struct ClassOf<M> : ClassOf<typename M::ContainedType> {};
template <class M>
  requires requires { typename M::FloatModule; }
struct ClassOf<M> {
  using type = typename M::FloatModule;
};

/// The float class whose parameters a fused module uses; others are such classes themselves.
template <class M>
struct WrappedBy {
  using type = M;
};
template <class M>
  requires requires { typename M::Wrapped; }
struct WrappedBy<M> {
  using type = typename M::Wrapped;
};

}  // namespace detail

/// Which class takes the place of which float class when a workflow swaps modules: torch.ao's mapping tables.
class ModuleMappings {
 public:
  /// Makes the module that takes the place of a float one. @throws Error if it cannot; nothing has changed then
  using FromFloat = std::function<std::shared_ptr<nn::ImplementationBase>(const torch::nn::Module& module, const QConfig& qconfig,
                                                                          const std::string& path)>;

  /// Adds or replaces a pair: `mappings.set<nn::Linear, MyQuantizedLinear>()`. Quantized needs the function
  /// `static std::shared_ptr<Quantized> from_float(const Float&, const QConfig&, const std::string& path)`, where Float is the
  /// torch class (torch::nn::LinearImpl), and must derive from the slot's Implementation. For a fused module (nn::intrinsic)
  /// Float is the class of the slot that it is in.
  template <class FloatModule, class Quantized>
  ModuleMappings& set() {
    using Key = typename detail::ClassOf<FloatModule>::type;
    using Float = typename detail::WrappedBy<Key>::type;
    using Class = typename detail::ClassOf<Quantized>::type;
    return set(typeid(Key), [](const torch::nn::Module& module, const QConfig& qconfig, const std::string& path) {
      return Class::from_float(dynamic_cast<const Float&>(module), qconfig, path);
    });
  }
  ModuleMappings& set(std::type_index float_type, FromFloat from_float);

  template <class FloatModule>
  ModuleMappings& erase() {
    pairs_.erase(typeid(typename detail::ClassOf<FloatModule>::type));
    return *this;
  }

  /// Null if there is nothing for that class.
  const FromFloat* find(std::type_index float_type) const;

 private:
  std::map<std::type_index, FromFloat> pairs_;
};

/// The pairs of quantize_dynamic: Linear, LinearReLU, LSTM, GRU, LSTMCell, GRUCell, RNNCell, Embedding, EmbeddingBag,
/// and the training form of Linear (torch.ao's DEFAULT_DYNAMIC_QUANT_MODULE_MAPPINGS).
const ModuleMappings& default_dynamic_quant_module_mappings();

/// The pairs of convert(): torch.ao's DEFAULT_STATIC_QUANT_MODULE_MAPPINGS, and beyond it Sigmoid, Tanh, Softmax, Hardsigmoid,
/// SiLU, GELU, the observed forms of LSTM and MultiheadAttention, and all training forms.
const ModuleMappings& default_static_quant_module_mappings();

/// The training forms that prepare_qat() puts in the place of modules: torch.ao's DEFAULT_QAT_MODULE_MAPPINGS, and beyond it
/// Conv1d, ConvReLU1d, transposed convolutions with and without a batch norm, Linear, BatchNorm1d and ReLU in one, ConvAdd2d and
/// ConvAddReLU2d, Embedding and EmbeddingBag (torch.ao's get_embedding_qat_module_mappings).
const ModuleMappings& default_qat_module_mappings();

/// Training for quantize_dynamic()'s arithmetic: Linear as nn::qat::dynamic::Linear, for default_dynamic_qat_qconfig. Such a
/// model is converted with convert(model, default_dynamic_quant_module_mappings()).
const ModuleMappings& dynamic_qat_module_mappings();

/// The modules that prepare() replaces by an observed form of their own: LSTM, MultiheadAttention
/// (torch.ao's get_default_custom_config_dict).
const ModuleMappings& default_float_to_observed_custom_module_mappings();

}  // namespace octet
