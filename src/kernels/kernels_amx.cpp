#include "kernels/matrix_tiles.h"

namespace octet::kernels {
namespace {

/// In assembly, since the number of a tile is part of an instruction, and the compiler's functions take only literals for it.
struct AmxTiles {
  /// As LDTILECFG reads it.
  struct alignas(64) Configuration {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  };

  static void configure(int64_t rows0, int64_t rows1, int64_t k) {
    Configuration c;
    const int64_t rows[] = {rows0, rows0, rows1, rows1, rows0, rows1, k / 4, k / 4};
    for (int t = 0; t < 8; ++t) {
      c.rows[t] = static_cast<uint8_t>(rows[t]);
      c.row_bytes[t] = static_cast<uint16_t>(t == 4 || t == 5 ? k : kMatrixTileBytes);
    }
    asm volatile("ldtilecfg %0" : : "m"(c));
  }
  template <int kTile, class T>
  static void load(const T* p, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  static void store(int32_t* p, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kSums, int kActivations, int kWeights>
  static void dot() {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kActivations), "i"(kWeights));
  }
  static void release() { asm volatile("tilerelease"); }
};

/// A tile of a few rows takes as long as a full one.
void accumulate(const AccumulateArgs& args) {
  constexpr int64_t kFewRows = 4;
  (args.rows <= kFewRows ? avx512_vnni_kernels().accumulate : accumulate_matrices<AmxTiles>)(args);
}

}  // namespace

const KernelTable& amx_kernels() {
  static const KernelTable table = [] {
    KernelTable kernels = avx512_vnni_kernels();
    kernels.isa = Isa::amx;
    kernels.accumulate = accumulate;
    kernels.multiply_requantized = nullptr;
    kernels.winograd = nullptr;
    return kernels;
  }();
  return table;
}

}  // namespace octet::kernels
