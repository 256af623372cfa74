#include "kernels/cpu_features.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace octet::kernels {

#if defined(__x86_64__)

namespace {

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  if (leaf <= __get_cpuid_max(0, nullptr)) __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  return r;
}

/// The register states that the operating system saves: without them the instructions fault, whatever CPUID says.
uint64_t enabled_states() {
  constexpr uint32_t kOsxsave = 1u << 27;
  if (!(cpuid(1, 0).ecx & kOsxsave)) return 0;
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

bool has_all(uint64_t value, uint64_t bits) { return (value & bits) == bits; }

/// Linux gives a process the large state of tiles only if it asks for it; the permission then holds for all its threads.
bool tiles_are_permitted() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool permitted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return permitted;
}

}  // namespace

bool processor_supports(Isa isa) {
  constexpr uint64_t kXmmYmm = 0x06, kOpmaskZmm = 0xe0;
  constexpr uint32_t kFma = 1u << 12, kAvx = 1u << 28, kF16c = 1u << 29;
  constexpr uint32_t kAvx2 = 1u << 5, kAvx512F = 1u << 16, kAvx512Bw = 1u << 30, kAvx512Vl = 1u << 31;
  constexpr uint32_t kAvx512Vnni = 1u << 11, kAvxVnni = 1u << 4;
  constexpr uint64_t kTiles = 0x60000;
  constexpr uint32_t kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;

  const Registers leaf1 = cpuid(1, 0);
  const Registers leaf7 = cpuid(7, 0);
  const uint64_t states = enabled_states();
  const bool avx2 = has_all(leaf1.ecx, kFma | kAvx | kF16c) && has_all(leaf7.ebx, kAvx2) && has_all(states, kXmmYmm);
  const bool avx512_vnni = avx2 && has_all(leaf7.ebx, kAvx512F | kAvx512Bw | kAvx512Vl) && has_all(leaf7.ecx, kAvx512Vnni) &&
                           has_all(states, kOpmaskZmm);
  switch (isa) {
    case Isa::scalar:
      return true;
    case Isa::avx2:
      return avx2;
    case Isa::avx_vnni:
      return avx2 && leaf7.eax >= 1 && has_all(cpuid(7, 1).eax, kAvxVnni);
    case Isa::avx512_vnni:
      return avx512_vnni;
    case Isa::amx:
      return avx512_vnni && has_all(leaf7.edx, kAmxTile | kAmxInt8) && has_all(states, kTiles) && tiles_are_permitted();
    default:
      return false;
  }
}

#elif defined(__aarch64__)

bool processor_supports(Isa isa) {
  constexpr uint64_t kDotProducts = 1u << 20;     // HWCAP_ASIMDDP
  constexpr uint64_t kMatrixProducts = 1u << 13;  // HWCAP2_I8MM
  const bool dot_products = getauxval(AT_HWCAP) & kDotProducts;
  switch (isa) {
    case Isa::scalar:
      return true;
    case Isa::neon_dot:
      return dot_products;
    case Isa::neon_i8mm:
      return dot_products && (getauxval(AT_HWCAP2) & kMatrixProducts);
    default:
      return false;
  }
}

#else

bool processor_supports(Isa isa) { return isa == Isa::scalar; }

#endif

}  // namespace octet::kernels
