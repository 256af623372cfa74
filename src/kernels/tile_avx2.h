#pragma once

#include <immintrin.h>

#include "kernels/kernel_table.h"
#include "kernels/requantized_tile_impl.h"
#include "kernels/simd_avx2.h"

// Products of bytes on AVX2, and what becomes of the sums of a tile of rows x 16 columns.

namespace octet::kernels {

/// acc += a * b of one quad: b's bytes are unsigned, a's signed.
template <class A, class B>
[[gnu::always_inline]] inline void multiply_add_quad(__m256i& acc, A a, B b, __m256i ones) {
  __m256i t;
  asm("vpmaddubsw %[a], %[b], %[t]\n\t"
      "vpmaddwd %[ones], %[t], %[t]\n\t"
      "vpaddd %[t], %[acc], %[acc]"
      : [acc] "+x"(acc), [t] "=&x"(t)
      : [a] "xm"(a), [b] "x"(b), [ones] "x"(ones));
}

/// They are added to what is in memory, or stored there ...
struct Avx2StoredSums {
  int32_t* sums;  ///< [rows][kColumns], aligned to 32 bytes
  bool add;       ///< to what is there

  __m256i start(int row, int vector) const { return add ? _mm256_load_si256(at(row, vector)) : _mm256_setzero_si256(); }
  template <int kRows, int kVectors>
  [[gnu::always_inline]] void operator()(__m256i (&acc)[kRows][kVectors]) const {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) _mm256_store_si256(at(r, v), acc[r][v]);
    }
  }
  void skip(int rows) { sums += rows * kColumns; }
  __m256i* at(int row, int vector) const { return reinterpret_cast<__m256i*>(sums + row * kColumns) + vector; }
};

/// ... or they begin with `seeds[row * seed_stride + column]` and are requantized ...
struct Avx2RequantizedPanel : RequantizedColumnRange<Avx2Simd> {
  const int32_t* seeds;
  int64_t seed_stride;
};

/// ... from a row of the panel on.
struct Avx2RequantizedSums {
  const Avx2RequantizedPanel& panel;
  int64_t row;

  void skip(int rows) { row += rows; }
  __m256i start(int r, int vector) const {
    return Avx2Simd::load(panel.seeds + (row + r) * panel.seed_stride + 8 * vector, AllLanes{});
  }
  template <int kRows, int kVectors>
  [[gnu::always_inline]] void operator()(__m256i (&acc)[kRows][kVectors]) const {
    // As values of their own: what has no register here is not to cost the loop its registers.
    __m256i sums[kRows][kVectors];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) asm("" : "=x"(sums[r][v]) : "0"(acc[r][v]));
    }
    panel.requantize(row, panel.column, panel.columns, sums);
  }
};

}  // namespace octet::kernels
