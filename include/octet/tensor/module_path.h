#pragma once

#include <string_view>

namespace octet {

/// Names the module that runs on this thread, so that an error deep in the tensor layer can say where it happened.
/// The scopes of a thread nest; each must end on the thread, and in the reverse of the order, that it began in.
class ModulePathScope {
 public:
  /// @param path  as in named_modules(): "encoder.layers.0.fc"; must outlive the scope
  explicit ModulePathScope(std::string_view path);
  ~ModulePathScope();
  ModulePathScope(const ModulePathScope&) = delete;
  ModulePathScope& operator=(const ModulePathScope&) = delete;

  /// The path of the innermost scope of this thread; empty outside of all.
  static std::string_view current();

 private:
  std::string_view path_;
  const ModulePathScope* outer_;
};

}  // namespace octet
