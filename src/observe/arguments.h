#pragma once

#include <observe/python_repr.h>

#include <octet/observe/observer.h>

#include <optional>
#include <string>

namespace octet {

/// The printed form of an option's value, for Arguments.
inline std::string argument_text(bool value) { return value ? "true" : "false"; }
inline std::string argument_text(int64_t value) { return std::to_string(value); }
inline std::string argument_text(double value) { return python_repr(value); }
inline std::string argument_text(const std::string& value) { return '"' + value + '"'; }
inline std::string argument_text(DType value) { return std::string(info(value).name); }
inline std::string argument_text(QScheme value) { return std::string(name(value)); }
inline std::string argument_text(std::optional<int64_t> value) { return value ? std::to_string(*value) : "none"; }
inline std::string argument_text(const ObserverFactory& value) { return value.describe(); }

/// The arguments of a base's options with those of the options themselves after them.
inline Arguments joined(Arguments first, const Arguments& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace octet
