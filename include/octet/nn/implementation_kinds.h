#pragma once

#include <octet/nn/implementation.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace octet::nn {

/// How implementations are rebuilt from files: a function for each kind. The files written by save() name the kind of every
/// swapped module, and load() looks it up here.
class ImplementationKinds {
 public:
  using FromState = std::function<std::shared_ptr<ImplementationBase>(const StateDict& state, const Attributes& attributes,
                                                                      const std::string& path)>;

  /// Adds or replaces a kind. Class (an Impl or its holder) needs the function
  /// `static std::shared_ptr<Class> from_state(const StateDict&, const Attributes&, const std::string& path)`.
  template <class Class>
  ImplementationKinds& set(const std::string& kind) {
    if constexpr (requires { typename Class::ContainedType; }) {
      return set<typename Class::ContainedType>(kind);
    } else {
      return set(kind, FromState(&Class::from_state));
    }
  }
  ImplementationKinds& set(const std::string& kind, FromState from_state);

  /// A class that says its kind itself, as `kKind`.
  template <class Class>
  ImplementationKinds& set() {
    if constexpr (requires { typename Class::ContainedType; }) {
      return set<typename Class::ContainedType>();
    } else {
      return set<Class>(Class::kKind);
    }
  }

  /// @throws Error that lists the known kinds
  const FromState& at(const std::string& kind, const std::string& path) const;

 private:
  std::map<std::string, FromState> kinds_;
};

/// All kinds of this library.
const ImplementationKinds& default_implementation_kinds();

}  // namespace octet::nn
