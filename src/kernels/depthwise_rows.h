#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

// Depthwise convolutions, rows of outputs at a time. The rows of the input that they read are laid side by side, as many bytes
// of a channel as the ISA's dot product takes, once for each column; these then meet the weights of all outputs that use them.

namespace octet::kernels {

/// Blocks of one or two rows of outputs, all of their columns from one on. Taps are those of the kernel's rows (of all its
/// planes) and along the width.
struct DepthwiseRowsArgs {
  /// [blocks][row_slots]: where the rows of the input that a block reads begin. The first row of outputs meets the first
  /// weight_rows of them, and the second row as many from row_step on. Slots that are left hold any rows.
  const uint8_t* const* rows;
  uint8_t* const* out;  ///< [blocks][2]: the first output's first channel; the second is null where there is none
  int64_t blocks;
  int64_t row_slots;  ///< depthwise_row_slots()
  int64_t row_step;
  int64_t weight_rows;
  int64_t columns;       ///< of the input
  int64_t first_column;  ///< that the first output reads first; columns beyond the input hold the zero point
  int64_t column_step;   ///< from one output to the next
  int64_t taps;          ///< along the width
  int64_t tap_spacing;
  int64_t outputs;  ///< in each row
  int64_t out_stride;
  int64_t channels;          ///< at least as many as the kernel takes
  const int8_t* weight;      ///< [weight_rows][taps][channels]
  ColumnTerms column_terms;  ///< no scaled sum may be too large for 32 bits
  int32_t zero_point;
  float scale;
  QuantizeArgs quantize;
  uint8_t* scratch;  ///< depthwise_rows_scratch() bytes, aligned to 64
};

struct DepthwiseRowsKernel {
  void (*run)(const DepthwiseRowsArgs& args);
  int64_t fewest_channels;  ///< that it takes where the column step is 1
  int64_t fewest_channels_of_other_steps;
};

extern const DepthwiseRowsKernel avx2_depthwise_rows;
extern const DepthwiseRowsKernel avx512_vnni_depthwise_rows;

/// How many rows of the input a block has room for: kernels read them by fours at most.
constexpr int64_t depthwise_row_slots(int64_t weight_rows, int64_t row_step) { return (weight_rows + 3) / 4 * 4 + row_step; }

/// How many columns of the input a row of outputs reads.
[[gnu::always_inline]] constexpr int64_t depthwise_rows_columns(const DepthwiseRowsArgs& args) {
  return (args.outputs - 1) * args.column_step + (args.taps - 1) * args.tap_spacing + 1;
}

/// How many bytes the kernels write in their scratch at most.
constexpr int64_t depthwise_rows_scratch(const DepthwiseRowsArgs& args) {
  constexpr int64_t kVectorBytes = 64;
  // Winograd's algorithm makes four vectors of two columns.
  return (args.weight_rows + 3) / 4 * 4 * (2 * (depthwise_rows_columns(args) + 1) + 4 * args.taps) * kVectorBytes;
}

}  // namespace octet::kernels
