#pragma once

#include <octet/nn/implementation.h>
#include <octet/tensor/error.h>

#include <string>

namespace octet::nn {

/// The attribute of that name. @throws Error if it is missing or of another type; `where` begins the text
template <class Value>
const Value& attribute(const Attributes& attributes, const std::string& name, const std::string& where) {
  const auto found = attributes.find(name);
  check(found != attributes.end(), where, ": the attribute \"", name, "\" is missing");
  const Value* const value = std::get_if<Value>(&found->second);
  check(value != nullptr, where, ": the attribute \"", name, "\" has the wrong type");
  return *value;
}

}  // namespace octet::nn
