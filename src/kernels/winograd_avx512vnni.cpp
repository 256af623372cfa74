#include <immintrin.h>

#include "kernels/requantized_tile_impl.h"
#include "kernels/simd_avx512vnni.h"
#include "kernels/winograd_impl.h"

namespace octet::kernels {
namespace {

struct Avx512VnniIsa {
  static constexpr int kBytes = 64;

  /// Words of pairs of bytes, of which those of `factors` are unsigned and the others signed.
  template <class Word>
  static Word multiply_pairs(Word factors, Word bytes) {
    return reinterpret_cast<Word>(_mm512_maddubs_epi16(reinterpret_cast<__m512i>(factors), reinterpret_cast<__m512i>(bytes)));
  }
};

}  // namespace

const WinogradKernels avx512_vnni_winograd_kernels{
    .of_2x2 = Winograd<Avx512VnniIsa, 2>::transforms,
    .of_4x4 = Winograd<Avx512VnniIsa, 4>::transforms,
    .multiply = multiply_words_avx512_vnni,
    .requantize = requantize_sums<Avx512VnniSimd>,
    .costs = {.product = 2.0, .weight = 7.5, .input = 15.0, .output = 30.0},
};

}  // namespace octet::kernels
