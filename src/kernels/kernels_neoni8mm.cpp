#include <arm_neon.h>

#include "kernels/kernel_table.h"
#include "kernels/row_tiles.h"

namespace octet::kernels {
namespace {

constexpr int kTileRows = 8;
constexpr int kTileColumns = 8;

/// Rows x 8 columns, `b` being the first of them. USMMLA multiplies two rows by two columns, eight bytes of each, and adds the
/// four sums to its int32 lanes. Of a panel it takes two steps of k, four columns of each: zipped, they are two columns with their
/// eight bytes together, and again two. An odd last row is taken twice.
template <int Rows>
[[gnu::noinline]] void accumulate_tile(const uint8_t* a, int64_t a_stride, const int8_t* b, int64_t padded_k, int32_t* sums) {
  constexpr int kRowPairs = (Rows + 1) / 2, kColumnPairs = kTileColumns / 2;
  int32x4_t acc[kRowPairs][kColumnPairs];
#pragma GCC unroll 4
  for (int r = 0; r < kRowPairs; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kColumnPairs; ++c) acc[r][c] = vdupq_n_s32(0);
  }
  for (int64_t k = 0; k < padded_k; k += 8, a += 8, b += 8 * kColumns) {
    int8x16_t weights[kColumnPairs];
#pragma GCC unroll 2
    for (int c = 0; c < kColumnPairs; c += 2) {
      const int32x4_t first = vreinterpretq_s32_s8(vld1q_s8(b + 8 * c));
      const int32x4_t second = vreinterpretq_s32_s8(vld1q_s8(b + 8 * c + 4 * kColumns));
      weights[c] = vreinterpretq_s8_s32(vzip1q_s32(first, second));
      weights[c + 1] = vreinterpretq_s8_s32(vzip2q_s32(first, second));
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRowPairs; ++r) {
      const int second_row = 2 * r + 1 < Rows ? 2 * r + 1 : 2 * r;
      const uint8x16_t bytes = vcombine_u8(vld1_u8(a + 2 * r * a_stride), vld1_u8(a + second_row * a_stride));
#pragma GCC unroll 4
      for (int c = 0; c < kColumnPairs; ++c) acc[r][c] = vusmmlaq_s32(acc[r][c], bytes, weights[c]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRowPairs; ++r) {
#pragma GCC unroll 2
    for (int c = 0; c < kColumnPairs; c += 2) {
      const int64x2_t left = vreinterpretq_s64_s32(acc[r][c]), right = vreinterpretq_s64_s32(acc[r][c + 1]);
      int32_t* out = sums + 2 * r * kColumns + 2 * c;
      vst1q_s32(out, vreinterpretq_s32_s64(vzip1q_s64(left, right)));
      if (2 * r + 1 < Rows) vst1q_s32(out + kColumns, vreinterpretq_s32_s64(vzip2q_s64(left, right)));
    }
  }
}

void accumulate(const AccumulateArgs& args) {
  for (int64_t panel = 0; panel < args.panel_count; ++panel) {
    const int8_t* b = args.panels + panel * args.padded_k * kColumns;
    int32_t* sums = args.sums + panel * args.rows * kColumns;
    for_each_row_tile<kTileRows>(args.rows, [&]<int Rows>(int64_t row) {
      for (int64_t column = 0; column < kColumns; column += kTileColumns) {
        accumulate_tile<Rows>(args.a + row * args.a_stride, args.a_stride, b + 4 * column, args.padded_k,
                              sums + row * kColumns + column);
      }
    });
  }
}

}  // namespace

const KernelTable& neon_i8mm_kernels() {
  // Everything but the products is NeonSimd's, as with neon_dot.
  static const KernelTable table = [] {
    KernelTable kernels = neon_dot_kernels();
    kernels.isa = Isa::neon_i8mm;
    kernels.accumulate = accumulate;
    return kernels;
  }();
  return table;
}

}  // namespace octet::kernels
