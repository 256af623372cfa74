#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace octet {

/// While it lives, ops of this thread that have no arithmetic for quantized tensors compute in float: their quantized arguments
/// are dequantized, and their results are float tensors. What an op writes to (relu_ and the like, out=) is quantized again,
/// with the scale and zero point it had. Views that can't be made of the integers stay errors, since a view of a dequantized
/// copy would not see later changes. Without a guard all of these throw octet::Error.
///
/// Guards of a thread nest, and each counts. A guard does nothing for other threads, and must end on the thread it began on.
class FloatFallbackGuard {
 public:
  FloatFallbackGuard();
  ~FloatFallbackGuard();
  FloatFallbackGuard(const FloatFallbackGuard&) = delete;
  FloatFallbackGuard& operator=(const FloatFallbackGuard&) = delete;

  /// How often each op fell back since this guard began: {"aten::_log_softmax": 2}.
  const std::map<std::string, int64_t>& counts() const { return counts_; }

  static bool is_active();

  /// Counts a fallback in every guard of this thread.
  static void count(const std::string& op);

 private:
  std::map<std::string, int64_t> counts_;
  FloatFallbackGuard* outer_;
};

}  // namespace octet
