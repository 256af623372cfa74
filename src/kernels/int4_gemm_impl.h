#pragma once

#include <cstdint>

#include "kernels/elementwise_impl.h"
#include "kernels/kernel_table.h"
#include "kernels/simd_lanes.h"

namespace octet::kernels {

template <class Simd>
void int4_quantize_row(const float* x, int64_t k, int64_t group_size, float inverse_scale, uint8_t* q, int32_t* group_sums) {
  for (int64_t begin = 0; begin < k; begin += group_size) {
    auto sum = Simd::set(0);
    for_each_vector<Simd>(k - begin < group_size ? k - begin : group_size, [&](int64_t i, auto lanes) {
      const auto v = Simd::round(Simd::mul(Simd::load(x + begin + i, lanes), Simd::set(inverse_scale)));
      sum = Simd::add(sum, v);
      Simd::store_split(q, begin + i, v);
    });
    *group_sums++ = Simd::sum(sum);
  }
}

/// Rows x 16 columns, some vectors at a time within a group. Its sum is of nibbles, 0 .. 15; then the zero point is taken out:
/// `Σ x (w - zero_point) = Σ x w - zero_point * Σ x`.
template <class Simd, int Rows>
void int4_accumulate_tile(const Int4Args& args, int64_t row) {
  constexpr int kVectors = Rows == 1 && 2 * Simd::kLanes <= kColumns ? 2 : 1;  // that share what is loaded of x
  using Sums = typename Simd::template Int4Sums<Rows == 1 ? 2 : 1>;
  for (int64_t group = 0; group < args.groups; ++group) {
    const int64_t begin = group * args.group_size;
    const int64_t end = begin + args.group_size < args.padded_k ? begin + args.group_size : args.padded_k;
    for (int64_t column = 0; column < kColumns; column += kVectors * Simd::kLanes) {
      const uint8_t* x = args.x + row * args.x_stride + 2 * begin;
      const uint8_t* weights = args.panel + (begin / 8 * kColumns + column) * 4;
      Sums sums[Rows][kVectors];
#pragma GCC unroll 2
      for (int64_t k = begin; k < end; k += 8, x += 16, weights += 4 * kColumns) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          const auto nibbles = Simd::load(reinterpret_cast<const int32_t*>(weights) + v * Simd::kLanes, AllLanes{});
          const auto first_four = Simd::low_nibbles(nibbles), last_four = Simd::high_nibbles(nibbles);
#pragma GCC unroll 4
          for (int r = 0; r < Rows; ++r) sums[r][v].add(x + r * args.x_stride, first_four, last_four);
        }
      }
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        const int64_t lane = column + v * Simd::kLanes, at = group * kColumns + lane;
        const auto scale = Simd::load(args.scale + at, AllLanes{});
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r) {
          const int32_t x_sum = args.group_sums[(row + r) * args.groups + group];
          const auto excess = args.zero_point ? Simd::mul(Simd::load(args.zero_point + at, AllLanes{}), Simd::set(x_sum))
                                              : Simd::set(kInt4SymmetricOffset * x_sum);
          const auto sum = Simd::to_float(Simd::sub(sums[r][v].total(), excess));
          float* const total = args.sums + (row + r) * kColumns + lane;
          Simd::store(total, Simd::fma(sum, scale, Simd::load(total, AllLanes{})), AllLanes{});
        }
      }
    }
  }
}

/// The rows of a tile share the unpacking.
template <class Simd>
void int4_accumulate(const Int4Args& args) {
  constexpr int64_t kTileRows = 4;
  constexpr void (*kTiles[kTileRows])(const Int4Args&, int64_t) = {int4_accumulate_tile<Simd, 1>, int4_accumulate_tile<Simd, 2>,
                                                                   int4_accumulate_tile<Simd, 3>, int4_accumulate_tile<Simd, 4>};
  int64_t row = 0;
  for (int64_t left = (args.rows + kTileRows - 1) / kTileRows; left > 0; --left) {
    const int64_t rows = (args.rows - row) / left;  // tiles of even height
    kTiles[rows - 1](args, row);
    row += rows;
  }
}

template <class Simd>
void int4_finish(const Int4FinishArgs& args) {
  for_each_vector<Simd>(args.columns, [&](int64_t column, auto lanes) {
    const auto bias = Simd::load(args.bias + column, lanes);
    for (int64_t row = 0; row < args.rows; ++row) {
      auto y = Simd::fma(Simd::load(args.sums + row * kColumns + column, lanes), Simd::set(args.row_scale[row]), bias);
      if (args.relu) y = relu<Simd>(y);
      y = Simd::min(Simd::set(args.upper_bound), y);  // gives y where that is NaN
      Simd::store(args.out + row * args.out_stride + column, y, lanes);
    }
  });
}

}  // namespace octet::kernels
