#include <octet/tensor/module_path.h>

#include <utility>

namespace octet {
namespace {
thread_local const ModulePathScope* innermost = nullptr;
}  // namespace

ModulePathScope::ModulePathScope(std::string_view path) : path_(path), outer_(std::exchange(innermost, this)) {}

ModulePathScope::~ModulePathScope() { innermost = outer_; }

std::string_view ModulePathScope::current() { return innermost ? innermost->path_ : std::string_view(); }

}  // namespace octet
