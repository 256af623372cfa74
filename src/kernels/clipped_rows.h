#pragma once

#include <cstdint>
#include <vector>

#include "kernels/clipped_kernels.h"
#include "kernels/row_block.h"

namespace octet::kernels {

/// A block of rows, clipped for an ISA whose 16-bit sums of products saturate. Its storage is used again by the next block.
class ClippedRows {
 public:
  /// Whether clipping may pay for so many rows and panels.
  static bool may_pay(const KernelTable& table, int64_t rows, int64_t k, int64_t panels);

  /// To be called before the blocks of a product: what the last one's were like does not count.
  void begin() { skipped_ = 0; }

  /// Clips the rows if that pays, and otherwise gives them back as they are; so it does with some blocks that follow one that did
  /// not pay, as to find that out takes time. @param panels  that the rows will be multiplied with
  RowBlock take(const KernelTable& table, const RowBlock& rows, int64_t k, int64_t padded_k, int64_t panels);

  void accumulate(const KernelTable& table, const int8_t* panels, int64_t panel_count, int32_t* sums) const;

 private:
  struct Choice {
    bool clips;
    SumDepth depth;
  };
  Choice choose(const RowBlock& rows, int64_t k, int64_t panels) const;

  int64_t skipped_ = 0;  ///< blocks that will be left as they are
  SumDepth depth_{};
  int64_t rows_ = 0, padded_k_ = 0, stride_ = 0;
  std::vector<ClipCount> counts_;
  std::vector<int8_t> clipped_;
  std::vector<ClippedRow> clipped_rows_;
  std::vector<ClippedOff> clipped_off_;
  std::vector<RowTerms> terms_;
};

}  // namespace octet::kernels
