#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace octet::kernels {

/// The instruction sets that have kernels of their own, the plainest first. All of them give the same bits.
enum class Isa : uint8_t {
  scalar,       ///< portable C++; what the others are compared with
  avx2,         ///< AVX2, FMA and F16C
  avx_vnni,     ///< AVX2 with dot products of bytes
  avx512_vnni,  ///< AVX-512 F, BW, VL and VNNI, on top of avx2
  amx,          ///< and with products of matrices of bytes (AMX-TILE, AMX-INT8)
  neon_dot,     ///< AArch64 with the dot products of signed bytes (FEAT_DotProd)
  neon_i8mm,    ///< and with products of matrices of bytes (FEAT_I8MM)
};

/// The name of the value: "scalar", "avx2", ...
std::string_view name(Isa isa);

/// The paths that were built into this binary and that this processor and its operating system support, the best last.
const std::vector<Isa>& available_isas();

/// The path that kernels run: the best one available, unless the environment variable OCTET_ISA (read once) or a
/// ScopedIsa names another.
/// @throws std::runtime_error if OCTET_ISA names a path that is unknown or not available here; the text lists those
/// that are.
Isa selected_isa();

/// Makes every kernel of the process run one path for as long as the object lives. Meant for tests and benchmarks;
/// objects nest, and must not be created while another thread is inside a kernel.
class ScopedIsa {
 public:
  /// @throws std::runtime_error if the path is not available here
  explicit ScopedIsa(Isa isa);
  ~ScopedIsa();
  ScopedIsa(const ScopedIsa&) = delete;
  ScopedIsa& operator=(const ScopedIsa&) = delete;

 private:
  const void* previous_;
};

/// How many calls of this library's functions the kernels of a path have served since the process started.
uint64_t served_calls(Isa isa);

}  // namespace octet::kernels
