#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

// Depthwise convolutions on ISAs with a dot product of four bytes: of four rows of the input, the bytes of a channel are laid
// side by side once for each column, and then meet the weights of all outputs that use the column.

namespace octet::kernels {

/// Some rows of outputs, all of their columns from one on. Taps are those of the kernel's rows (of all its planes), four at a
/// time, and along the width.
struct DepthwiseQuadsArgs {
  const uint8_t* const* rows;  ///< [output_rows][row_quads][4]: where the rows that an output row reads begin
  uint8_t* const* out;         ///< [output_rows]: the first output's first channel
  int64_t output_rows;
  int64_t row_quads;
  int64_t columns;       ///< of the input
  int64_t first_column;  ///< that the first output reads first; columns beyond the input hold the zero point
  int64_t column_step;   ///< from one output to the next
  int64_t taps;          ///< along the width
  int64_t tap_spacing;
  int64_t outputs;  ///< in each row
  int64_t out_stride;
  int64_t channels;
  const int8_t* weight;  ///< [row_quads][taps][channels][4]
  ColumnTerms column_terms;
  int32_t zero_point;
  float scale;
  QuantizeArgs quantize;
  uint8_t* scratch;  ///< depthwise_quads_scratch() bytes, aligned to 64
};

constexpr int64_t kQuadsVectorBytes = 64;  ///< channels that are computed at once, at most

void depthwise_quads_avx512_vnni(const DepthwiseQuadsArgs& args);

/// How many columns of the input a row of outputs reads.
[[gnu::always_inline]] constexpr int64_t depthwise_quads_columns(const DepthwiseQuadsArgs& args) {
  return (args.outputs - 1) * args.column_step + (args.taps - 1) * args.tap_spacing + 1;
}

/// How many bytes depthwise_quads() writes in its scratch.
constexpr int64_t depthwise_quads_scratch(const DepthwiseQuadsArgs& args) {
  return args.row_quads * (depthwise_quads_columns(args) + args.taps) * 4 * kQuadsVectorBytes;
}

}  // namespace octet::kernels
