#include <octet/kernels/compact_weights.h>

#include <atomic>
#include <cstdlib>
#include <string_view>

namespace octet::kernels {
namespace {

std::atomic<bool>& compact() {
  static std::atomic<bool> compact = [] {
    const char* const value = std::getenv("OCTET_COMPACT_WEIGHTS");
    return value && std::string_view(value) == "1";
  }();
  return compact;
}

}  // namespace

bool compact_weights() { return compact().load(); }

void set_compact_weights(bool on) { compact().store(on); }

}  // namespace octet::kernels
