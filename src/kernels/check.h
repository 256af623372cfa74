#pragma once

#include <sstream>
#include <stdexcept>

namespace octet::kernels {

/// Throws std::invalid_argument with the parts printed one after the other, unless the condition holds.
template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (condition) [[likely]]
    return;
  std::ostringstream text;
  (text << ... << parts);
  throw std::invalid_argument(text.str());
}

}  // namespace octet::kernels
