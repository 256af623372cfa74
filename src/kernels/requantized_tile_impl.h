#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"
#include "kernels/quantize_impl.h"
#include "kernels/row_tiles.h"
#include "kernels/simd_lanes.h"

namespace octet::kernels {

/// Requantizes sums that are in registers, to the same integers as Requantizer.
template <class Simd>
class RequantizedTile {
  using Float = typename Simd::Float;
  using Int = typename Simd::Int;

 public:
  RequantizedTile(const RequantizedTerms& terms, const RequantizeArgs& to)
      : terms_(terms),
        to_(to),
        quantizer_(to.quantize),
        form_(to.residual                                                ? Form::any
              : terms.fits_int32 && quantizer_.is_all_bytes(to.quantize) ? Form::plain
                                                                         : Form::limited) {}

  /// What a tile's sums begin with.
  Int start(int64_t column) const { return Simd::load(terms_.start + column, AllLanes{}); }

  /// @param columns  of the output from `column` on, at most as many as a row of the sums has
  template <int kRows, int kVectors>
  [[gnu::always_inline]] void operator()(int64_t row, int64_t column, int64_t columns, Int (&sums)[kRows][kVectors]) const {
    const bool whole = columns == kVectors * Simd::kLanes;
    if (whole && form_ == Form::plain) {
      rows<Form::plain>(row, column, columns, sums);
    } else if (whole && form_ == Form::limited) {
      rows<Form::limited>(row, column, columns, sums);
    } else {
      rows<Form::any>(row, column, columns, sums);
    }
  }

 private:
  /// What is to be done, from the least on; all but the last with whole vectors, without a branch.
  enum class Form : uint8_t { plain, limited, any };

  template <Form kForm, int kRows, int kVectors>
  [[gnu::always_inline]] void rows(int64_t row, int64_t column, int64_t columns, Int (&sums)[kRows][kVectors]) const {
    constexpr int kRowsAtOnce = 4 / kVectors;
    constexpr bool kSimple = kForm != Form::any;
    if constexpr (kSimple) columns = kVectors * Simd::kLanes;
    Float multiplier[kVectors], bias[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      multiplier[v] = Simd::load(terms_.multiplier + column + v * Simd::kLanes, AllLanes{});
      bias[v] = Simd::load(terms_.bias + column + v * Simd::kLanes, AllLanes{});
    }
    uint8_t* out = to_.out + row * to_.out_stride + column;
#pragma GCC unroll 16
    for (int first = 0; first < kRows; first += kRowsAtOnce) {
      Float values[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const int r = first + i / kVectors, v = i % kVectors;
        if (r >= kRows) {
          values[i] = values[i - kVectors];  // not stored
          continue;
        }
        values[i] = Simd::fma(Simd::to_float(sums[r][v]), multiplier[v], bias[v]);
        if constexpr (!kSimple) {
          values[i] = add_residual(values[i], row + r, column + v * Simd::kLanes, columns - v * Simd::kLanes);
        }
      }
      store<0, kRows, kVectors>(first, kForm == Form::plain ? quantizer_.all_bytes(values) : quantizer_(values), columns, out);
    }
  }

  /// Stores the row `first + kRow` of the bytes, and those after it, if there are such rows.
  template <int kRow, int kRows, int kVectors>
  [[gnu::always_inline]] void store(int first, typename Simd::Bytes bytes, int64_t columns, uint8_t*& out) const {
    if (first + kRow >= kRows) return;
    Simd::template store_bytes<kRow * kVectors, kVectors>(out, bytes, columns);
    out += to_.out_stride;
    if constexpr (kRow + 1 < 4 / kVectors) store<kRow + 1, kRows, kVectors>(first, bytes, columns, out);
  }

  Float add_residual(Float y, int64_t row, int64_t column, int64_t columns) const {
    if (!to_.residual || columns <= 0) return y;
    return columns < Simd::kLanes ? with_residual<Simd>(y, to_, row, column, FirstLanes{columns})
                                  : with_residual<Simd>(y, to_, row, column, AllLanes{});
  }

  RequantizedTerms terms_;
  RequantizeArgs to_;  // a copy: the output may not alias it
  BytesQuantizer<Simd> quantizer_;
  Form form_;
};

/// What becomes of the sums of some columns. As small as it is, a tile takes it with the row in registers.
template <class Simd>
struct RequantizedColumnRange {
  const RequantizedTile<Simd>& requantize;
  int64_t column, columns;
};

/// Sums that are in memory.
template <class Simd>
void requantize_sums(const RequantizeSumsArgs& args) {
  using Int = typename Simd::Int;
  constexpr int kVectors = kColumns / Simd::kLanes, kRows = 4 / kVectors;
  const RequantizedTile<Simd> requantize(args.terms, args.to);
  Int start[kVectors];
  for (int v = 0; v < kVectors; ++v) start[v] = requantize.start(v * Simd::kLanes);
  for (int64_t first = 0; first < args.rows; first += kRows) {
    call_row_tile<kRows>(args.rows - first, first, [&]<int kTileRows>(int64_t row) {
      Int sums[kTileRows][kVectors];
#pragma GCC unroll 4
      for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          const int32_t* const from = args.sums + (row + r) * kColumns + v * Simd::kLanes;
          sums[r][v] = Simd::add(Simd::load(from, AllLanes{}), start[v]);
        }
      }
      requantize(row, 0, args.columns, sums);
    });
  }
}

}  // namespace octet::kernels
