#include <immintrin.h>

#include "kernels/requantized_tile_impl.h"
#include "kernels/simd_avx2.h"
#include "kernels/winograd_impl.h"

namespace octet::kernels {
namespace {

struct Avx2Isa {
  static constexpr int kBytes = 32;

  /// Words of pairs of bytes, of which those of `factors` are unsigned and the others signed.
  template <class Word>
  static Word multiply_pairs(Word factors, Word bytes) {
    return reinterpret_cast<Word>(_mm256_maddubs_epi16(reinterpret_cast<__m256i>(factors), reinterpret_cast<__m256i>(bytes)));
  }
};

}  // namespace

const WinogradKernels avx2_winograd_kernels{
    .of_2x2 = Winograd<Avx2Isa, 2>::transforms,
    .of_4x4 = Winograd<Avx2Isa, 4>::transforms,
    .multiply = multiply_words_avx2,
    .requantize = requantize_sums<Avx2Simd>,
    .costs = {.product = 0.95, .weight = 5.0, .input = 12.0, .output = 21.0},
};

}  // namespace octet::kernels
