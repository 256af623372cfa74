#pragma once

#include <octet/kernels/gemm.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include "kernels/aligned_array.h"
#include "kernels/check.h"
#include "kernels/clipped_rows.h"
#include "kernels/clipped_weight.h"
#include "kernels/kernel_table.h"
#include "kernels/quantize_args.h"
#include "kernels/work.h"

// What products and convolutions have in common: checks, parameters of columns, and the product of a block of rows.

namespace octet::kernels {

static_assert(kColumns == PackedWeight::kPanelColumns);

/// Where a part begins, if `size` items are cut into `parts` as evenly as can be.
constexpr int64_t part_begin(int64_t size, int64_t parts, int64_t part) { return size * part / parts; }

/// How rows are cut into blocks, as evenly as can be: of 60 rows at most, which make whole tiles on every ISA, or, for weights'
/// clipped form, of twice half the transposed rows, as so many take part in what was clipped off whether they are there or not.
struct RowBlocks {
  RowBlocks(int64_t rows, bool clipped_weight)
      : rows(rows),
        unit(clipped_weight ? kTransposedRows / 2 : 1),
        units(ceil_div(rows, unit)),
        count(ceil_div(units, clipped_weight ? 2 : 60)) {}
  int64_t begin(int64_t block) const { return std::min(part_begin(units, count, block) * unit, rows); }

  int64_t rows, unit, units, count;
};

/// @param n      output channels
/// @param depth  how many products make one sum
inline void check_weight_qparams(const WeightQParams& qparams, int64_t n, int64_t depth, std::string_view function) {
  if (!qparams.zero_point || n == 0) return;
  check(depth <= PackedWeight::kMaxAffineDepth, function, ": with weight zero points k must be at most ",
        PackedWeight::kMaxAffineDepth, ", got ", depth, ": a longer sum may not fit int32; quantize the weights symmetrically");
  for (int64_t c = 0; c < (qparams.per_channel ? n : 1); ++c) {
    check(-128 <= qparams.zero_point[c] && qparams.zero_point[c] <= 127, function, ": weights' zero point ",
          qparams.zero_point[c], " of channel ", c, " is not in -128 .. 127");
  }
}

/// Checks and gathers what requantized output [rows][n] needs, from its first row and column on.
template <class Quantized>
RequantizeArgs requantize_args(const AffineQParams& qparams, const Epilogue& epilogue, Matrix<Quantized> out, int64_t n,
                               std::string_view function) {
  RequantizeArgs to{.quantize = quantize_args<Quantized>(qparams, function),
                    .out = reinterpret_cast<uint8_t*>(out.data),
                    .out_stride = out.stride};
  check(epilogue.upper_bound > 0.0f, function, ": the upper bound must be positive, got ", epilogue.upper_bound);
  const float steps = std::nearbyint(epilogue.upper_bound * to.quantize.inverse_scale) + static_cast<float>(qparams.zero_point);
  if (steps < static_cast<float>(qparams.quant_max)) {
    to.quantize.quant_max = std::max(static_cast<int32_t>(steps), qparams.quant_min);
  }
  if (epilogue.relu) {
    to.quantize.quant_min = std::min(std::max(to.quantize.quant_min, qparams.zero_point), to.quantize.quant_max);
  }
  if (const Residual* residual = epilogue.residual) {
    check(residual->scale > 0.0f && std::isfinite(residual->scale), function,
          ": the residual's scale must be positive and finite, got ", residual->scale);
    check(0 <= residual->zero_point && residual->zero_point <= 255, function, ": the residual's zero point ",
          residual->zero_point, " is not in 0 .. 255");
    check(residual->q.stride >= n, function, ": the residual's stride is ", residual->q.stride, ", which is less than its ", n,
          " columns");
    to.residual = residual->q.data;
    to.residual_stride = residual->q.stride;
    to.residual_multiplier = residual->scale * to.quantize.inverse_scale;
    to.residual_zero_point = residual->zero_point;
  }
  return to;
}

/// The same from another row and column on, and for every `step`-th row.
inline RequantizeArgs from(RequantizeArgs to, int64_t row, int64_t column, int64_t step = 1) {
  to.out += row * to.out_stride + column;
  to.out_stride *= step;
  if (to.residual) to.residual += row * to.residual_stride + column;
  to.residual_stride *= step;
  return to;
}

/// A parameter of each column, whether its caller gave one for each, one for all, or none.
template <class T>
class PerColumn {
 public:
  PerColumn(const T* values, bool many, T absent) : values_(values && many ? values : nullptr) {
    one_.fill(values && !many ? *values : absent);
  }
  /// The values of the panel that starts at that column.
  const T* from(int64_t column) const { return values_ ? values_ + column : one_.data(); }
  /// The values of all n columns, in the storage if they are not in one piece anyway.
  const T* all(int64_t n, std::vector<T>& storage) const {
    if (values_) return values_;
    storage.assign(n, one_[0]);
    return storage.data();
  }

 private:
  const T* values_;
  std::array<T, kColumns> one_;
};

/// The parameters of all output channels.
struct Columns {
  Columns(const WeightQParams& qparams, const Epilogue& epilogue)
      : affine(qparams.zero_point),
        zero_points(qparams.zero_point, qparams.per_channel, 0),
        scales(qparams.scale, qparams.per_channel, 0.0f),
        biases(epilogue.bias, true, 0.0f) {}

  bool affine;
  PerColumn<int32_t> zero_points;
  PerColumn<float> scales, biases;
};

/// How the panels of a weight are cut into groups, each of which meets a block of rows at once. An even number of panels makes a
/// group, as some kernels take two at a time.
struct PanelGroups {
  /// @param rows  of a block, at most
  PanelGroups(const PackedWeight& weight, int64_t rows)
      : panels(weight.panels()),
        size(std::clamp(kSums / kColumns / std::max<int64_t>(rows, 1) / 2 * 2, int64_t{2}, kLargest)),
        count(ceil_div(panels, size)) {}

  static constexpr int64_t kLargest = 8;  ///< beyond that nothing is gained, and threads would have less to share
  int64_t panels, size, count;
};

/// What the epilogue of one panel of the weight needs, but for the sums and their rows.
/// @param first_channel  of the weight's first column
inline FinishArgs finish_args(const PackedWeight& weight, int64_t panel, const Columns& columns, int64_t first_channel) {
  const int64_t column = panel * kColumns, channel = first_channel + column;
  return {.sums = nullptr,
          .rows = 0,
          .columns = std::min(kColumns, weight.n() - column),
          .column_terms = {weight.column_sums() + column, columns.zero_points.from(channel), columns.scales.from(channel),
                           columns.biases.from(channel)},
          .row_terms = nullptr,
          .affine = columns.affine,
          .relu = false,
          .upper_bound = std::numeric_limits<float>::infinity()};
}

/// The terms with which the sums of a weight's columns are requantized if all rows have one zero point and scale.
class RequantizedColumns {
 public:
  /// Makes room for so many weights of one size, as the groups of a convolution have.
  RequantizedColumns& reserve(int64_t weights, int64_t panels) {
    columns_ = panels * kColumns;
    fit_int32_ = true;
    start_.reserve(weights * columns_);
    multiplier_.reserve(weights * columns_);
    bias_.reserve(weights * columns_);
    return *this;
  }

  /// @param first_channel  of the weight's first column
  void set(int64_t index, const PackedWeight& weight, const Columns& columns, int64_t first_channel, const RowTerms& row,
           float inverse_scale) {
    const float largest_sum = 255.0f * 128.0f * static_cast<float>(weight.k());
    for (int64_t panel = 0; panel < weight.panels(); ++panel) {
      const FinishArgs args = finish_args(weight, panel, columns, first_channel);
      const ColumnTerms& terms = args.column_terms;
      for (int64_t i = 0, at = index * columns_ + panel * kColumns; i < args.columns; ++i, ++at) {
        start_.data()[at] = static_cast<int32_t>(-static_cast<uint32_t>(row.zero_point) * static_cast<uint32_t>(terms.weight_sum[i]));
        multiplier_.data()[at] = row.scale * terms.scale[i] * inverse_scale;
        bias_.data()[at] = terms.bias[i] * inverse_scale;
        fit_int32_ &= std::abs(multiplier_.data()[at]) * largest_sum + std::abs(bias_.data()[at]) < kFitsInt32;
      }
    }
  }

  RequantizedTerms of(int64_t index, int64_t panel) const {
    const int64_t at = index * columns_ + panel * kColumns;
    return {start_.data() + at, multiplier_.data() + at, bias_.data() + at, fit_int32_};
  }

 private:
  static constexpr float kFitsInt32 = 1 << 30;  ///< with room for what the sum of two floats is rounded by

  int64_t columns_ = 0;
  bool fit_int32_ = true;
  AlignedScratch<int32_t> start_;
  AlignedScratch<float> multiplier_, bias_;
};

/// Whether blocks of so many rows are to meet the weight's clipped form, in which sums of bytes always fit. Transposed rows are
/// what it takes for that, of which there should be some.
inline bool takes_clipped_weight(const KernelTable& table, const PackedWeight& weight, int64_t rows) {
  constexpr int64_t kFewestRows = 16;
  return table.clipped_weights && rows >= kFewestRows && weight.clipped();
}

/// The rows for the weight's clipped form. @param storage  of the thread
inline RowBlock transposed(const KernelTable& table, RowBlock rows, const PackedWeight& weight,
                           AlignedScratch<uint8_t>& storage) {
  uint8_t* const to = storage.reserve((weight.padded_k() + 1) * kTransposedRows);
  table.clipped_weights->transpose(rows.q.data, rows.q.stride, rows.rows, weight.padded_k(), to);
  rows.transposed = to;
  return rows;
}

inline ClippedWeightArgs clipped_weight_args(const RowBlock& block, const PackedWeight& weight, int64_t first_panel,
                                             int64_t panels) {
  ClippedWeightArgs args{};
  args.a = block.q.data;
  args.a_stride = block.q.stride;
  args.rows = block.rows;
  args.transposed = block.transposed;
  weight.clipped()->set_panels(first_panel, panels, args);
  return args;
}

/// Whether sums can be requantized while they are in registers. It is the fastest way for rows that are not clipped.
inline bool can_requantize_at_once(const KernelTable& table, const PackedWeight& weight, bool affine, bool clipped_weight) {
  return !affine && (clipped_weight || (table.multiply_requantized && weight.padded_k() <= table.requantized_depth));
}

/// Multiplies a block of rows and some panels, and requantizes the sums while they are in registers. `terms` and `to` are those of
/// the first panel.
inline void multiply_requantized(const KernelTable& table, const RowBlock& block, const PackedWeight& weight, int64_t first_panel,
                                 int64_t panels, const RequantizedTerms& terms, const RequantizeArgs& to) {
  const int64_t columns = std::min(panels * kColumns, weight.n() - first_panel * kColumns);
  if (block.transposed) {
    table.clipped_weights->multiply_requantized(clipped_weight_args(block, weight, first_panel, panels), columns, terms, to);
    return;
  }
  table.multiply_requantized(
      {block.q.data, block.q.stride, block.rows, weight.panel(first_panel), columns, weight.k(), weight.padded_k(), terms, to});
}

/// Multiplies a block of rows and a group of panels and calls `finish(args, column)` for each panel, which starts at that
/// column of the weight. Its columns' parameters start at `first_channel`.
template <class Finish>
void multiply_block(const KernelTable& table, const RowBlock& block, const PackedWeight& weight, const PanelGroups& groups,
                    int64_t panel_group, const Columns& columns, int64_t first_channel, const Finish& finish) {
  alignas(64) int32_t sums[kSums];
  const int64_t first_panel = panel_group * groups.size;
  const int64_t panels = std::min(groups.size, groups.panels - first_panel);
  if (block.clipped) {
    block.clipped->accumulate(table, weight.panel(first_panel), panels, sums);
  } else if (block.transposed) {
    table.clipped_weights->accumulate(clipped_weight_args(block, weight, first_panel, panels), sums);
  } else {
    table.accumulate({block.q.data, block.q.stride, block.rows, weight.panel(first_panel), panels, weight.padded_k(), sums,
                      weight.column_sums() + first_panel * kColumns});
  }
  for (int64_t panel = 0; panel < panels; ++panel) {
    FinishArgs args = finish_args(weight, first_panel + panel, columns, first_channel);
    args.sums = sums + panel * block.rows * kColumns;
    args.rows = block.rows;
    args.row_terms = block.terms;
    finish(args, (first_panel + panel) * kColumns);
  }
}

}  // namespace octet::kernels
