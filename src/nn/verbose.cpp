#include <octet/nn/verbose.h>

#include <atomic>
#include <cstdlib>
#include <string_view>

namespace octet::nn {
namespace {

std::atomic<bool>& state() {
  static std::atomic<bool> verbose = [] {
    const char* const asked = std::getenv("OCTET_VERBOSE");
    return asked && *asked && std::string_view(asked) != "0";
  }();
  return verbose;
}

}  // namespace

bool is_verbose() { return state().load(std::memory_order_relaxed); }

void set_verbose(bool verbose) { state().store(verbose, std::memory_order_relaxed); }

}  // namespace octet::nn
