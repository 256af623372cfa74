#include "kernels/row_tiles.h"
#include "kernels/simd_kernels.h"
#include "kernels/simd_neon.h"

namespace octet::kernels {
namespace {

constexpr int kTileRows = 6;

/// Rows x 16 columns. SDOT adds four products of signed bytes to an int32 lane, so 128 is taken from the activations by flipping
/// their top bits, and the sums start with what that takes off. Each load of a row's eight bytes serves two steps of k.
template <int Rows>
[[gnu::noinline]] void accumulate_tile(const uint8_t* a, int64_t a_stride, const int8_t* b, int64_t padded_k,
                                       const int32_t* column_sums, int32_t* sums) {
  constexpr int kVectors = 4, kSteps = 2;
  int32x4_t acc[Rows][kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const int32x4_t taken_off = vshlq_n_s32(vld1q_s32(column_sums + 4 * v), 7);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) acc[r][v] = taken_off;
  }
  for (int64_t k = 0; k < padded_k; k += 4 * kSteps, a += 4 * kSteps) {
    int8x8_t bytes[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) bytes[r] = vreinterpret_s8_u8(veor_u8(vld1_u8(a + r * a_stride), vdup_n_u8(0x80)));
#pragma GCC unroll 2
    for (int step = 0; step < kSteps; ++step, b += 4 * kColumns) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const int8x16_t weights = vld1q_s8(b + 16 * v);
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) {
          acc[r][v] = step == 0 ? vdotq_lane_s32(acc[r][v], weights, bytes[r], 0)
                                : vdotq_lane_s32(acc[r][v], weights, bytes[r], 1);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) vst1q_s32(sums + r * kColumns + 4 * v, acc[r][v]);
  }
}

void accumulate(const AccumulateArgs& args) {
  for (int64_t panel = 0; panel < args.panel_count; ++panel) {
    const int8_t* b = args.panels + panel * args.padded_k * kColumns;
    const int32_t* column_sums = args.column_sums + panel * kColumns;
    int32_t* sums = args.sums + panel * args.rows * kColumns;
    for_each_row_tile<kTileRows>(args.rows, [&]<int Rows>(int64_t row) {
      accumulate_tile<Rows>(args.a + row * args.a_stride, args.a_stride, b, args.padded_k, column_sums, sums + row * kColumns);
    });
  }
}

}  // namespace

const KernelTable& neon_dot_kernels() {
  static constexpr KernelTable table = simd_kernels<NeonSimd>(Isa::neon_dot, accumulate);
  return table;
}

}  // namespace octet::kernels
