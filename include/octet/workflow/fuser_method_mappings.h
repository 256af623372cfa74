#pragma once

#include <octet/nn/implementation.h>
#include <octet/nn/replace_parameters.h>
#include <octet/workflow/mappings.h>

#include <torch/nn/module.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

namespace octet {

/// What a sequence of modules becomes: what the slot of its first module is to compute.
struct FusedModule {
  /// Computes in that slot, with the parameters that stay there if it is a nn::FloatImplementation. Null: the float module does.
  std::shared_ptr<nn::ImplementationBase> implementation = nullptr;

  /// Take the place of the first module's parameters of that name. Undefined: those stay.
  at::Tensor weight = {}, bias = {};
};

/// Which sequences of modules can be fused, and how: torch.ao's fuser_method_mappings.
class FuserMethodMappings {
 public:
  /// The torch classes of modules that follow each other (torch::nn::LinearImpl, torch::nn::ReLUImpl).
  using Sequence = std::vector<std::type_index>;

  /// How one kind of sequence is fused.
  struct Method {
    std::function<FusedModule(const std::vector<const torch::nn::Module*>& modules)> fuse;
    void (*assign)(torch::nn::Module& first, const FusedModule& fused);  ///< puts weight and bias in place
  };

  /// Adds or replaces a sequence of two or more classes, given as holders or Impls:
  ///   mappings.set<nn::Linear, nn::Sigmoid>([](const torch::nn::LinearImpl&, const torch::nn::SigmoidImpl&) {
  ///     return FusedModule{.implementation = std::make_shared<LinearSigmoidImpl>()};
  ///   });
  /// @param fuser_method  gets the float modules and says what becomes of them. It changes nothing. @throws Error, which the
  ///                      workflow adds the modules' names to, if these modules cannot be fused
  template <class... FloatModules, class FuserMethod>
  FuserMethodMappings& set(FuserMethod fuser_method) {
    return set_classes<typename detail::ClassOf<FloatModules>::type...>(std::move(fuser_method));
  }

  template <class... FloatModules>
  FuserMethodMappings& erase() {
    methods_.erase({typeid(typename detail::ClassOf<FloatModules>::type)...});
    return *this;
  }

  /// Null if nothing is known that fuses the sequence.
  const Method* find(const Sequence& sequence) const;

  const std::map<Sequence, Method>& methods() const { return methods_; }

 private:
  template <class First, class... Others, class FuserMethod>
  FuserMethodMappings& set_classes(FuserMethod fuser_method) {
    static_assert(sizeof...(Others) > 0, "a sequence has two modules or more");
    const auto fuse = [fuser_method = std::move(fuser_method)](const std::vector<const torch::nn::Module*>& modules) {
      const FusedModule fused = [&]<size_t... index>(std::index_sequence<index...>) {
        return fuser_method(dynamic_cast<const First&>(*modules[0]), dynamic_cast<const Others&>(*modules[index + 1])...);
      }(std::index_sequence_for<Others...>());
      check(nn::detail::has_weight<First> || !fused.weight.defined(),
            "the fuser method returned a weight, but the first module has none");
      check(nn::detail::has_bias<First> || !fused.bias.defined(),
            "the fuser method returned a bias, but the first module has none");
      return fused;
    };
    methods_[{typeid(First), typeid(Others)...}] = {fuse, &assign<First>};
    return *this;
  }

  template <class First>
  static void assign(torch::nn::Module& first, const FusedModule& fused) {
    nn::detail::replace_parameters(dynamic_cast<First&>(first), fused.weight, fused.bias);
  }

  std::map<Sequence, Method> methods_;
};

/// torch.ao's sixteen sequences, and (Linear, BatchNorm1d, ReLU). Those with a batch norm are for eval mode: they fold it into
/// the parameters of the module before it.
const FuserMethodMappings& default_fuser_method_mappings();

/// The same sequences for training, where a batch norm stays and learns on, as a part of the fused module.
const FuserMethodMappings& default_qat_fuser_method_mappings();

/// The default ones, and those that torch.ao has for its backend onednn: (Linear, LeakyReLU), (Linear, BatchNorm1d, LeakyReLU)
/// and (Linear, Tanh).
const FuserMethodMappings& onednn_fuser_method_mappings();

}  // namespace octet
