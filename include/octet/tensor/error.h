#pragma once

#include <c10/util/StringUtil.h>

#include <stdexcept>

namespace octet {

/// What every layer above the kernels throws. The text names the module's path or the argument, what was got, what was
/// expected and what to do next. The object that was asked to change is unharmed.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws an Error whose text is the parts, printed one after the other.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(c10::str(parts...));
}

/// Throws an Error made of the parts unless the condition holds.
template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(parts...);
}

}  // namespace octet
