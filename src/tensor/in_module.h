#pragma once

#include <octet/tensor/module_path.h>

#include <ostream>

namespace octet {

/// " in module 'encoder.layers.0.fc'" when it is printed, for error texts: the one that runs on this thread. Nothing outside of all.
/// Checks pass by without making a text.
struct InModule {};
inline InModule in_module() { return {}; }

inline std::ostream& operator<<(std::ostream& stream, InModule) {
  const std::string_view path = ModulePathScope::current();
  return path.empty() ? stream : stream << " in module '" << path << "'";
}

}  // namespace octet
