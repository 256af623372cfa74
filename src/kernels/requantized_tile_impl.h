#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"
#include "kernels/simd_lanes.h"

namespace octet::kernels {

/// Requantizes sums that are in registers. Four vectors at a time become one of bytes, which takes half the instructions that
/// vectors by themselves would. The integers are those of Requantizer, for values that are not NaN, too: what is above the output's
/// range is limited as a float, what is below by saturation.
template <class Simd>
class RequantizedTile {
  using Float = typename Simd::Float;
  using Int = typename Simd::Int;

 public:
  RequantizedTile(const RequantizedTerms& terms, const RequantizeArgs& to)
      : terms_(terms),
        to_(to),
        high_(Simd::set(static_cast<float>(to.quantize.quant_max - to.quantize.zero_point))),
        // Signed bytes are unsigned ones with another first bit, 128 higher.
        zero_point_(Simd::set_words(static_cast<int16_t>(to.quantize.zero_point + shift()))),
        low_(Simd::set_bytes(static_cast<uint8_t>(to.quantize.quant_min + shift()))),
        sign_(Simd::set_bytes(static_cast<uint8_t>(shift()))) {}

  /// What a tile's sums begin with.
  Int start(int64_t, int64_t column) const { return Simd::load(terms_.start + column, AllLanes{}); }

  /// @param columns  of the output from `column` on, at most as many as a row of the sums has
  template <int kRows, int kVectors>
  [[gnu::always_inline]] void operator()(int64_t row, int64_t column, int64_t columns, Int (&sums)[kRows][kVectors]) const {
    constexpr int kRowsAtOnce = 4 / kVectors;
    Float multiplier[kVectors], bias[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      multiplier[v] = Simd::load(terms_.multiplier + column + v * Simd::kLanes, AllLanes{});
      bias[v] = Simd::load(terms_.bias + column + v * Simd::kLanes, AllLanes{});
    }
#pragma GCC unroll 16
    for (int first = 0; first < kRows; first += kRowsAtOnce) {
      Int integers[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const int r = first + i / kVectors, v = i % kVectors;
        if (r >= kRows) {
          integers[i] = integers[i - kVectors];  // not stored
          continue;
        }
        Float y = Simd::fma(Simd::to_float(sums[r][v]), multiplier[v], bias[v]);
        if (to_.residual) y = add_residual(y, row + r, column + v * Simd::kLanes);
        integers[i] = Simd::round(Simd::min(high_, y));  // y where that is NaN, and then the lowest integer
      }
      auto bytes = Simd::saturated_bytes(integers[0], integers[1], integers[2], integers[3], zero_point_);
      bytes = Simd::exclusive_or(Simd::max_bytes(bytes, low_), sign_);
      uint8_t* const out = to_.out + (row + first) * to_.out_stride + column;
      Simd::template store_bytes<0, kVectors>(out, bytes, columns);
      if constexpr (kVectors == 2) {
        if (first + 1 < kRows) Simd::template store_bytes<2, 2>(out + to_.out_stride, bytes, columns);
      } else {
        if (first + 1 < kRows) Simd::template store_bytes<1, 1>(out + to_.out_stride, bytes, columns);
        if (first + 2 < kRows) Simd::template store_bytes<2, 1>(out + 2 * to_.out_stride, bytes, columns);
        if (first + 3 < kRows) Simd::template store_bytes<3, 1>(out + 3 * to_.out_stride, bytes, columns);
      }
    }
  }

 private:
  int32_t shift() const { return to_.quantize.quant_min < 0 ? 128 : 0; }

  Float add_residual(Float y, int64_t row, int64_t column) const {
    const Int q = Simd::load(to_.residual + row * to_.residual_stride + column, AllLanes{});
    const Int difference = Simd::sub(q, Simd::set(to_.residual_zero_point));
    return Simd::fma(Simd::to_float(difference), Simd::set(to_.residual_multiplier), y);
  }

  RequantizedTerms terms_;
  RequantizeArgs to_;  // a copy: the output may not alias it
  Float high_;
  Int zero_point_;
  typename Simd::Bytes low_, sign_;
};

}  // namespace octet::kernels
