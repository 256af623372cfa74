#pragma once

#include "kernels/elementwise_impl.h"
#include "kernels/kernel_table.h"

namespace octet::kernels {

template <class Simd>
void float_to_half_all(const float* x, int64_t n, uint16_t* y) {
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) { Simd::store_half(y + i, Simd::load(x + i, lanes), lanes); });
}

template <class Simd>
void half_to_float_all(const uint16_t* x, int64_t n, float* y) {
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) { Simd::store(y + i, Simd::load_half(x + i, lanes), lanes); });
}

/// Rows x Columns results; each is 16 partial sums, as half.h says.
template <class Simd, int Rows, int Columns>
void half_gemm_tile(const HalfGemmArgs& args, int64_t row, int64_t column) {
  constexpr int64_t kParts = 16 / Simd::kLanes;
  const float* x = args.x + row * args.x_stride;
  const uint16_t* weight = args.weight + column * args.weight_stride;
  typename Simd::Float parts[Rows][Columns][kParts];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) {
#pragma GCC unroll 16
      for (int64_t p = 0; p < kParts; ++p) parts[r][c][p] = Simd::set(0.0f);
    }
  }
  float x_rest[Rows * 16];
  uint16_t weight_rest[Columns * 16];
  int64_t x_stride = args.x_stride, weight_stride = args.weight_stride;
  for (int64_t k = 0; k < args.k; k += 16, x += 16, weight += 16) {
    if (k + 16 > args.k) {  // what is left continues in copies that zeros fill up
      for (int64_t l = 0; l < 16; ++l) {
        const bool inside = k + l < args.k;
        for (int r = 0; r < Rows; ++r) x_rest[r * 16 + l] = inside ? x[r * x_stride + l] : 0.0f;
        for (int c = 0; c < Columns; ++c) weight_rest[c * 16 + l] = inside ? weight[c * weight_stride + l] : uint16_t{0};
      }
      x = x_rest;
      weight = weight_rest;
      x_stride = weight_stride = 16;
    }
#pragma GCC unroll 16
    for (int64_t p = 0; p < kParts; ++p) {
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) {
        const auto w = Simd::load_half(weight + c * weight_stride + p * Simd::kLanes, AllLanes{});
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const auto v = Simd::load(x + r * x_stride + p * Simd::kLanes, AllLanes{});
          parts[r][c][p] = Simd::fma(v, w, parts[r][c][p]);
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) {
      const float y = Simd::sum16(parts[r][c]) + args.bias[column + c];
      args.out[(row + r) * args.out_stride + column + c] = args.relu && y < 0.0f ? 0.0f : y;
    }
  }
}

/// Few rows share each read of a weight among several columns' sums; many rows share its conversion too.
template <class Simd>
void half_gemm(const HalfGemmArgs& args) {
  int64_t row = 0;
  for (; row + 4 <= args.rows; row += 4) {
    for (int64_t column = 0; column < args.columns; ++column) half_gemm_tile<Simd, 4, 1>(args, row, column);
  }
  for (; row < args.rows; ++row) {
    if (args.columns == kHalfColumns) {
      half_gemm_tile<Simd, 1, kHalfColumns>(args, row, 0);
    } else {
      for (int64_t column = 0; column < args.columns; ++column) half_gemm_tile<Simd, 1, 1>(args, row, column);
    }
  }
}

}  // namespace octet::kernels
