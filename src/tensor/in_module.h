#pragma once

#include <octet/tensor/module_path.h>

#include <c10/util/StringUtil.h>

#include <string>

namespace octet {

/// " in module 'encoder.layers.0.fc'", for error texts: the one that runs on this thread. Empty outside of all.
inline std::string in_module() {
  const std::string_view path = ModulePathScope::current();
  return path.empty() ? std::string() : c10::str(" in module '", path, "'");
}

}  // namespace octet
