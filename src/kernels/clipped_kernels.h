#pragma once

#include <cstdint>

// What an ISA offers whose instruction for products of bytes (vpmaddubsw) adds two of them in 16 bits, and saturates: the
// sums are exact if the activations that meet there are small enough. docs/arithmetic.md has the proof.

namespace octet::kernels {

/// What the positive parts of the smaller factors of a 16-bit sum may sum up to, and the negative ones too: 255 * 128 = 32640.
constexpr int32_t kClipLimit = 128;

/// Brings the largest of n values nearer to zero until they keep to the limit.
void clip_sum(int32_t* values, int n);

/// How many quads of k are summed in 16 bits before they are widened.
enum class SumDepth : uint8_t { one_quad = 1, two_quads = 2 };

/// What clipping a row would take.
struct ClipCount {
  int32_t offset;    ///< what is subtracted from the row: its mean
  int64_t one_quad;  ///< 16-bit sums that do not fit as they are, at each depth
  int64_t two_quads;
};

/// What was clipped off an activation. It is added back (or subtracted) as a product of its own.
struct ClippedOff {
  int32_t panel_offset;  ///< where the quad of k starts in a panel
  uint32_t magnitude;    ///< one byte of the four, at the activation's place in the quad
};

/// A row that was clipped: where the lists of what was clipped off end; those of the next row follow.
struct ClippedRow {
  int32_t seed;        ///< to be added to all sums of the row
  int32_t added;       ///< end of what is to be added, in entries
  int32_t subtracted;  ///< end of what is to be subtracted, which follows
};

struct ClipArgs {
  const uint8_t* a;
  int64_t k;
  int64_t padded_k;
  int32_t offset;
  SumDepth depth;
  int8_t* clipped;         ///< [padded_k]: a - offset, with zeros from k on
  ClippedOff* added;       ///< room for 4 entries for each sum that does not fit
  ClippedOff* subtracted;  ///< likewise
};

struct ClipResult {
  int64_t added, subtracted;
  int32_t sum;  ///< of `clipped`
};

/// One block of a GEMM: `sums[panel][row][column] = Σ_k (a[row][k] - offset[row]) * panels[panel][column][k]`.
struct AccumulateClippedArgs {
  const int8_t* clipped;
  int64_t stride;  ///< from one row to the next
  int64_t rows;
  const ClippedRow* clipped_rows;
  const ClippedOff* clipped_off;
  SumDepth depth;
  const int8_t* panels;
  int64_t panel_count;
  int64_t padded_k;
  int32_t* sums;  ///< [panel_count][rows][kColumns], 64-byte aligned
};

struct ClippedKernels {
  ClipCount (*count)(const uint8_t* a, int64_t k);
  ClipResult (*clip)(const ClipArgs& args);
  void (*accumulate)(const AccumulateClippedArgs& args);
};

extern const ClippedKernels avx2_clipped_kernels;

}  // namespace octet::kernels
