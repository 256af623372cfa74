#include <immintrin.h>

#include "kernels/dot_tiles.h"

namespace octet::kernels {
namespace {

struct AvxVnniDot {
  using Vector = __m256i;
  static Vector zero() { return _mm256_setzero_si256(); }
  static Vector load(const int8_t* p) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }
  static Vector broadcast(const uint8_t* p) {
    int32_t four;
    __builtin_memcpy(&four, p, sizeof(four));
    return _mm256_set1_epi32(four);
  }
  static void dot(Vector& sum, Vector a, Vector w) { sum = _mm256_dpbusd_avx_epi32(sum, a, w); }
  static void store(int32_t* p, Vector v) { _mm256_store_si256(reinterpret_cast<__m256i*>(p), v); }
};

}  // namespace

const KernelTable& avx_vnni_kernels() {
  // Everything but the products is AVX2's.
  static const KernelTable table = [] {
    KernelTable kernels = avx2_kernels();
    kernels.isa = Isa::avx_vnni;
    kernels.accumulate = accumulate_dots<AvxVnniDot>;
    kernels.multiply_requantized = nullptr;
    kernels.clipped = nullptr;  // vpdpbusd does not saturate
    kernels.clipped_weights = nullptr;
    return kernels;
  }();
  return table;
}

}  // namespace octet::kernels
