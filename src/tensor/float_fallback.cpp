#include <octet/tensor/float_fallback.h>

#include <utility>

namespace octet {
namespace {
thread_local FloatFallbackGuard* innermost = nullptr;
}  // namespace

FloatFallbackGuard::FloatFallbackGuard() : outer_(std::exchange(innermost, this)) {}

FloatFallbackGuard::~FloatFallbackGuard() { innermost = outer_; }

bool FloatFallbackGuard::is_active() { return innermost != nullptr; }

void FloatFallbackGuard::count(const std::string& op) {
  for (auto* guard = innermost; guard; guard = guard->outer_) ++guard->counts_[op];
}

}  // namespace octet
