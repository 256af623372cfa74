#pragma once

#include "kernels/kernel_table.h"

// The product for processors with tile registers (AMX): 16 rows of 64 bytes each. A type gives the instructions, so that a
// processor without them runs the same loops on a stand-in. Tiles 0 .. 3 are sums, 4 and 5 activations, 6 and 7 weights.
//   configure(rows0, rows1, k)   the shapes of a pair of row tiles (of sums and activations) and of the weights, k bytes deep;
//   all
//                                tiles become zero
//   load<T>(p, stride), store<T>(p, stride)
//   dot<C, A, B>()               adds to the sums C the products of the u8 in A and the s8 in B
//   release()                    gives the state back

namespace octet::kernels {

constexpr int64_t kMatrixTileRows = 16;
constexpr int64_t kMatrixTileBytes = 64;

/// Two row tiles (or one) times two panels (or one), over k activations that are a multiple of the depth that is configured.
template <class Tiles, int RowTiles, int Panels>
void accumulate_tile(const uint8_t* a, int64_t a_stride, int64_t first_rows, const int8_t* b, int64_t panel_bytes, int64_t k,
                     int64_t depth, int32_t* sums, int64_t panel_sums) {
  constexpr int64_t kSumsStride = kColumns * sizeof(int32_t);
  int32_t* const below = sums + first_rows * kColumns;
  Tiles::template load<0>(sums, kSumsStride);
  if constexpr (Panels == 2) Tiles::template load<1>(sums + panel_sums, kSumsStride);
  if constexpr (RowTiles == 2) Tiles::template load<2>(below, kSumsStride);
  if constexpr (RowTiles == 2 && Panels == 2) Tiles::template load<3>(below + panel_sums, kSumsStride);
  for (const uint8_t* const end = a + k; a < end; a += depth, b += depth * kColumns) {
    Tiles::template load<4>(a, a_stride);
    Tiles::template load<6>(b, kMatrixTileBytes);
    Tiles::template dot<0, 4, 6>();
    if constexpr (Panels == 2) {
      Tiles::template load<7>(b + panel_bytes, kMatrixTileBytes);
      Tiles::template dot<1, 4, 7>();
    }
    if constexpr (RowTiles == 2) {
      Tiles::template load<5>(a + first_rows * a_stride, a_stride);
      Tiles::template dot<2, 5, 6>();
      if constexpr (Panels == 2) Tiles::template dot<3, 5, 7>();
    }
  }
  Tiles::template store<0>(sums, kSumsStride);
  if constexpr (Panels == 2) Tiles::template store<1>(sums + panel_sums, kSumsStride);
  if constexpr (RowTiles == 2) Tiles::template store<2>(below, kSumsStride);
  if constexpr (RowTiles == 2 && Panels == 2) Tiles::template store<3>(below + panel_sums, kSumsStride);
}

/// All panels for one or two row tiles. What is left of k beyond whole tiles has a configuration of its own, which adds to the
/// same sums.
template <class Tiles, int RowTiles>
void accumulate_rows(const AccumulateArgs& args, int64_t row, int64_t rows) {
  const int64_t first_rows = RowTiles == 2 ? rows / 2 : rows, panel_bytes = args.padded_k * kColumns;
  const int64_t panel_sums = args.rows * kColumns, whole = args.padded_k / kMatrixTileBytes * kMatrixTileBytes;
  const auto add = [&](int64_t begin, int64_t end, int64_t depth) {
    if (begin == end) return;
    Tiles::configure(first_rows, RowTiles == 2 ? rows - first_rows : first_rows, depth);
    for (int64_t panel = 0; panel < args.panel_count; panel += 2) {
      const auto tile = panel + 1 < args.panel_count ? accumulate_tile<Tiles, RowTiles, 2> : accumulate_tile<Tiles, RowTiles, 1>;
      tile(args.a + row * args.a_stride + begin, args.a_stride, first_rows, args.panels + panel * panel_bytes + begin * kColumns,
           panel_bytes, end - begin, depth, args.sums + (panel * args.rows + row) * kColumns, panel_sums);
    }
  };
  add(0, whole, kMatrixTileBytes);
  add(whole, args.padded_k, args.padded_k - whole);
}

template <class Tiles>
void accumulate_matrices(const AccumulateArgs& args) {
  for (int64_t i = 0; i < args.panel_count * args.rows * kColumns; ++i) args.sums[i] = 0;
  int64_t row = 0;
  for (int64_t left = (args.rows + 2 * kMatrixTileRows - 1) / (2 * kMatrixTileRows); left > 0; --left) {
    const int64_t rows = (args.rows - row) / left;  // as even as can be
    if (rows > kMatrixTileRows) {
      accumulate_rows<Tiles, 2>(args, row, rows);
    } else {
      accumulate_rows<Tiles, 1>(args, row, rows);
    }
    row += rows;
  }
  Tiles::release();
}

}  // namespace octet::kernels
