#include "kernels/requantized_tile_impl.h"
#include "kernels/simd_avx2.h"
#include "kernels/winograd_impl.h"

namespace octet::kernels {
namespace {

struct Avx2Isa {
  static constexpr int kBytes = 32;
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
