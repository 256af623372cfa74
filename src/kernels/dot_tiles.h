#pragma once

#include "kernels/kernel_table.h"
#include "kernels/row_tiles.h"

// The product for ISAs with 16 vector registers of 8 lanes whose dot product of bytes does not saturate. A type gives the
// instructions, so that a processor without them runs the same loops on a stand-in:
//   Vector                            8 int32
//   zero(), load(const int8_t*)       32 bytes of weights, aligned
//   broadcast(const uint8_t*)         4 bytes of activations, in all lanes
//   dot(Vector& sum, a, w)            adds to each lane the products of its four u8 of a and its four s8 of w
//   store(int32_t*, Vector)           aligned

namespace octet::kernels {

/// Rows x 16 columns.
template <class Dot, int Rows>
[[gnu::noinline]] void accumulate_tile(const uint8_t* a, int64_t a_stride, const int8_t* b, int64_t padded_k, int32_t* sums) {
  constexpr int kVectors = 2;
  typename Dot::Vector acc[Rows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) acc[r][0] = acc[r][1] = Dot::zero();
  for (const uint8_t* const end = a + padded_k; a < end; a += 4, b += 4 * kColumns) {
    asm("" : "+r"(a_stride));  // keeps compilers from making a pointer for each row, for which there are too few registers
    const auto first = Dot::load(b), second = Dot::load(b + 32);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const auto four = Dot::broadcast(a + r * a_stride);
      Dot::dot(acc[r][0], four, first);
      Dot::dot(acc[r][1], four, second);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) Dot::store(sums + r * kColumns + 8 * v, acc[r][v]);
  }
}

template <class Dot>
void accumulate_dots(const AccumulateArgs& args) {
  constexpr int kTileRows = 6;
  for (int64_t panel = 0; panel < args.panel_count; ++panel) {
    const int8_t* const b = args.panels + panel * args.padded_k * kColumns;
    int32_t* const sums = args.sums + panel * args.rows * kColumns;
    for_each_row_tile<kTileRows>(args.rows, [&]<int Rows>(int64_t row) {
      accumulate_tile<Dot, Rows>(args.a + row * args.a_stride, args.a_stride, b, args.padded_k, sums + row * kColumns);
    });
  }
}

}  // namespace octet::kernels
