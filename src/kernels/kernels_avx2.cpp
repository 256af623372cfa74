#include "kernels/clipped_kernels.h"
#include "kernels/clipped_weight_kernels.h"
#include "kernels/depthwise_rows.h"
#include "kernels/simd_avx2.h"
#include "kernels/simd_kernels.h"
#include "kernels/winograd_kernels.h"
#include "kernels/word_product.h"

namespace octet::kernels {
namespace {

/// acc += a * b for pairs of 16-bit integers. In assembly, since compilers put accumulators on the stack here.
[[gnu::always_inline]] inline void multiply_add(__m256i& acc, __m256i a, __m256i b) {
  __m256i t;
  asm("vpmaddwd %[a], %[b], %[t]\n\t"
      "vpaddd %[t], %[acc], %[acc]"
      : [acc] "+x"(acc), [t] "=&x"(t)
      : [a] "x"(a), [b] "x"(b));
}

/// Rows x 16 columns. vpmaddubsw would saturate, so the bytes are widened: of each 16-bit lane, the even byte (k, k + 2) and
/// the odd byte (k + 1, k + 3) make an operand of vpmaddwd each, whose 32-bit sums then belong to one column. Exact.
template <int Rows>
void accumulate_tile(const uint8_t* a, int64_t a_stride, const int8_t* b, int64_t padded_k, int32_t* sums) {
  constexpr int kVectors = 2;
  __m256i acc[Rows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) acc[r][v] = _mm256_setzero_si256();
  }
  const __m256i even_bytes = _mm256_set1_epi16(0xff);
  for (int64_t k = 0; k < padded_k; k += 4, a += 4, b += 4 * kColumns) {
#pragma GCC unroll 2
    for (const bool odd : {false, true}) {
      __m256i weights[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        const __m256i bytes = _mm256_load_si256(reinterpret_cast<const __m256i*>(b) + v);
        weights[v] = odd ? Avx2Simd::odd_words(bytes) : Avx2Simd::even_words(bytes);
      }
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        int32_t four;
        memcpy(&four, a + r * a_stride, sizeof(four));
        const __m256i bytes = _mm256_set1_epi32(four);
        const __m256i activations = odd ? _mm256_srli_epi16(bytes, 8) : _mm256_and_si256(bytes, even_bytes);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) multiply_add(acc[r][v], activations, weights[v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) _mm256_store_si256(reinterpret_cast<__m256i*>(sums + r * kColumns) + v, acc[r][v]);
  }
}

/// Few rows: weights are widened for each tile of rows.
void accumulate_few(const AccumulateArgs& args) {
  constexpr void (*kTiles[])(const uint8_t*, int64_t, const int8_t*, int64_t, int32_t*) = {accumulate_tile<1>, accumulate_tile<2>,
                                                                                           accumulate_tile<3>};
  constexpr int64_t kTileRows = 3;
  for (int64_t panel = 0; panel < args.panel_count; ++panel) {
    const int8_t* b = args.panels + panel * args.padded_k * kColumns;
    int32_t* sums = args.sums + panel * args.rows * kColumns;
    int64_t row = 0;
    for (int64_t left = (args.rows + kTileRows - 1) / kTileRows; left > 0; --left) {
      const int64_t rows = (args.rows - row) / left;  // tiles of even height
      kTiles[rows - 1](args.a + row * args.a_stride, args.a_stride, b, args.padded_k, sums + row * kColumns);
      row += rows;
    }
  }
}

void accumulate(const AccumulateArgs& args) {
  constexpr int64_t kManyRows = 8;
  (args.rows < kManyRows ? accumulate_few : accumulate_many_avx2)(args);
}

}  // namespace

const KernelTable& avx2_kernels() {
  static constexpr KernelTable table = [] {
    KernelTable kernels = simd_kernels<Avx2Simd>(Isa::avx2, accumulate);
    kernels.multiply_requantized = multiply_requantized_avx2;
    kernels.requantized_depth = kRequantizedDepth;
    kernels.clipped = &avx2_clipped_kernels;
    kernels.clipped_weights = &avx2_clipped_weight_kernels;
    kernels.depthwise_rows = &avx2_depthwise_rows;
    kernels.winograd = &avx2_winograd_kernels;
    return kernels;
  }();
  return table;
}

}  // namespace octet::kernels
