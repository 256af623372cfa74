#pragma once

#include <octet/observe/qconfig.h>

#include <torch/nn/pimpl.h>

#include <concepts>
#include <initializer_list>
#include <iosfwd>
#include <map>
#include <optional>
#include <regex>
#include <span>
#include <string>
#include <string_view>
#include <typeindex>
#include <utility>
#include <vector>

namespace octet {

/// A class of modules: a C++ type with a printable name, or a bare name that every class so called answers to.
class ModuleType {
 public:
  /// Any class of that unqualified name: "Linear" is torch::nn::LinearImpl and octet::nn::LinearImpl.
  explicit ModuleType(std::string name) : name_(std::move(name)) {}

  explicit ModuleType(std::type_index type);

  /// `ModuleType::of<torch::nn::Linear>()`. The holder and its Impl are the same type, and so are a slot and its float class.
  template <class M>
  static ModuleType of() {
    if constexpr (requires { typename M::ContainedType; }) {
      return of<typename M::ContainedType>();
    } else if constexpr (requires { typename M::FloatModule; }) {
      return ModuleType(typeid(typename M::FloatModule));
    } else {
      return ModuleType(typeid(M));
    }
  }

  /// The unqualified name of the class without LibTorch's "Impl": "Linear".
  const std::string& name() const { return name_; }

  /// True if a rule for this type holds for modules of the other: the same C++ type, or the same name if one is a bare name.
  bool matches(const ModuleType& other) const;

 private:
  std::optional<std::type_index> type_;
  std::string name_;
};

/// Which QConfig a module gets, by rules. The most specific rule wins, in torch.ao's order:
/// 1. module_name: the module's own path, else the longest of its parents' paths that has a rule;
/// 2. module_name_regex: the first pattern, in the order they were set, that matches the beginning of the path (as Python's
/// re.match);
/// 3. object_type: the module's class;
/// 4. global.
/// Setting a rule again replaces its QConfig and keeps its place. Null as a QConfig keeps the modules in float.
class QConfigMapping {
 public:
  QConfigMapping() = default;

  /// One qconfig for all modules.
  QConfigMapping(QConfig qconfig) { set_global(std::move(qconfig)); }  // NOLINT: implicit, as prepare() takes either

  QConfigMapping& set_global(QConfigAny qconfig);
  QConfigMapping& set_object_type(const ModuleType& type, QConfigAny qconfig);
  /// @throws Error if the pattern is no regular expression (ECMAScript syntax).
  QConfigMapping& set_module_name_regex(const std::string& pattern, QConfigAny qconfig);
  /// @param path  "encoder.layers.0", as named_modules() has it
  QConfigMapping& set_module_name(const std::string& path, QConfigAny qconfig);

  /// `set_object_type<torch::nn::Linear>(qconfig)`.
  template <class M>
  QConfigMapping& set_object_type(QConfigAny qconfig) {
    return set_object_type(ModuleType::of<M>(), std::move(qconfig));
  }

  /// The paths that have a rule of their own, sorted.
  std::vector<std::string> module_names() const;

  /// What was found for a module.
  struct Match {
    QConfigAny qconfig;
    std::string rule;  ///< "module_name 'encoder'", "object_type Linear", "global"; empty if no rule applies
  };

  /// @param path   of the module in its model; empty for the model itself
  /// @param types  of the module, the most specific first (a module in a slot is of its own class and of the class in torch::nn)
  Match find(const std::string& path, std::span<const ModuleType> types) const;
  Match find(const std::string& path, std::initializer_list<ModuleType> types) const {
    return find(path, std::span(types.begin(), types.size()));
  }

  /// The rules by kind, in increasing priority, as Python prints them.
  friend std::ostream& operator<<(std::ostream& stream, const QConfigMapping& mapping);

 private:
  struct RegexRule {
    std::string pattern;
    std::regex regex;
    QConfigAny qconfig;
  };

  std::optional<QConfigAny> global_;
  std::vector<std::pair<ModuleType, QConfigAny>> object_types_;
  std::vector<RegexRule> regexes_;
  std::map<std::string, QConfigAny> module_names_;
};

/// Rules that give each class of modules what suits it on a backend ("x86", "fbgemm", "qnnpack", "onednn", "octet"):
/// get_default_qconfig(backend) for most; per-tensor weights for transposed convolutions on x86 and fbgemm; float weights for
/// LayerNorm; fixed qparams for sigmoid, softmax, hardsigmoid and tanh; unsigned weights for PReLU.
/// @throws Error for an unknown backend
QConfigMapping get_default_qconfig_mapping(std::string_view backend = "x86", int version = 0);

/// The same for quantization-aware training, with fake quantizers.
QConfigMapping get_default_qat_qconfig_mapping(std::string_view backend = "x86", int version = 1);

}  // namespace octet
