#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

// What an ISA whose instruction for products of bytes saturates offers for weights that were clipped when they were packed, so
// that no activations exceed 16 bits: docs/arithmetic.md has the proof.

namespace octet::kernels {

/// Products of so many k are added in 16 bits, in two sums of each column: those of k % 4 < 2 and the others.
constexpr int64_t kClippedStep = 8;

/// What was clipped off four weights of a column; fewer have zeros. Of the first two values the positive parts sum up to
/// kClipLimit at most, and the negative parts too, and of the last two likewise.
struct ClippedOffWeights {
  uint16_t k[4];
  int8_t value[4];
};

/// Rows in a block of transposed ones: a cache line for each k.
constexpr int64_t kTransposedRows = 64;

/// A block of rows, times some panels of clipped weights.
struct ClippedWeightArgs {
  const uint8_t* a;
  int64_t a_stride;
  int64_t rows;               ///< 1 .. kRowBlock
  const uint8_t* transposed;  ///< the same rows: [padded_k][kTransposedRows], and kTransposedRows bytes more that may be read
  const int8_t* panels;
  int64_t panel_count;
  int64_t padded_k;
  const ClippedOffWeights* clipped_off;
  const uint32_t*
      ends;  ///< [panel_count * kColumns + 1]: where each column's begin in `clipped_off`, and where the last one's end
};

struct ClippedWeightKernels {
  /// Writes [padded_k][kTransposedRows]; what is beyond the rows does not matter.
  void (*transpose)(const uint8_t* a, int64_t a_stride, int64_t rows, int64_t padded_k, uint8_t* transposed);
  /// `sums[panel][row][column] = Σ_k a[row][k] * weight[panel][column][k]`, of the weights before they were clipped.
  void (*accumulate)(const ClippedWeightArgs& args, int32_t* sums);
  /// The same, requantized. @param columns  of all panels
  void (*multiply_requantized)(const ClippedWeightArgs& args, int64_t columns, const RequantizedTerms& terms,
                               const RequantizeArgs& to);
};

extern const ClippedWeightKernels avx2_clipped_weight_kernels;

}  // namespace octet::kernels
