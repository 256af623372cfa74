#include <octet/kernels/isa.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/cpu_features.h"
#include "kernels/kernel_table.h"

namespace octet::kernels {
namespace {

constexpr std::array<std::string_view, 7> kNames{"scalar", "avx2", "avx_vnni", "avx512_vnni", "amx", "neon_dot", "neon_i8mm"};

/// One line for each built path, the best last. A new ISA adds its line here.
const KernelTable& (*const kBuiltTables[])() = {
    scalar_kernels,
#if defined(__x86_64__)
    avx2_kernels,
    avx_vnni_kernels,
    avx512_vnni_kernels,
    amx_kernels,
#elif defined(__aarch64__)
    neon_dot_kernels,
    neon_i8mm_kernels,
#endif
};

const std::vector<const KernelTable*>& available_tables() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> available;
    for (const auto table : kBuiltTables) {
      if (processor_supports(table().isa)) available.push_back(&table());
    }
    return available;
  }();
  return tables;
}

const KernelTable& table_named(std::string_view wanted, std::string_view who) {
  std::string available;
  for (const KernelTable* table : available_tables()) {
    if (name(table->isa) == wanted) return *table;
    available.append(available.empty() ? "" : ", ").append(name(table->isa));
  }
  throw std::runtime_error(std::string(who) + " \"" + std::string(wanted) +
                           "\" is not an instruction set that this build has kernels for and this processor supports; "
                           "available: " +
                           available);
}

const KernelTable& default_table() {
  static const KernelTable& table = [&]() -> const KernelTable& {
    const char* forced = std::getenv("OCTET_ISA");
    return forced && *forced ? table_named(forced, "OCTET_ISA") : *available_tables().back();
  }();
  return table;
}

std::atomic<const KernelTable*> forced_table = nullptr;

const KernelTable& current_table() {
  const KernelTable* forced = forced_table.load(std::memory_order_acquire);
  return forced ? *forced : default_table();
}

std::array<std::atomic<uint64_t>, kNames.size()> calls{};

}  // namespace

std::string_view name(Isa isa) { return kNames.at(static_cast<size_t>(isa)); }

const std::vector<Isa>& available_isas() {
  static const std::vector<Isa> isas = [] {
    std::vector<Isa> available;
    for (const KernelTable* table : available_tables()) available.push_back(table->isa);
    return available;
  }();
  return isas;
}

Isa selected_isa() { return current_table().isa; }

ScopedIsa::ScopedIsa(Isa isa) : previous_(forced_table.exchange(&table_named(name(isa), "ScopedIsa"))) {}

ScopedIsa::~ScopedIsa() { forced_table.store(static_cast<const KernelTable*>(previous_)); }

uint64_t served_calls(Isa isa) { return calls.at(static_cast<size_t>(isa)).load(std::memory_order_relaxed); }

const KernelTable& kernels() {
  const KernelTable& table = current_table();
  calls[static_cast<size_t>(table.isa)].fetch_add(1, std::memory_order_relaxed);
  return table;
}

}  // namespace octet::kernels
