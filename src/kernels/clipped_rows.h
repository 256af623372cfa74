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

  /// Clips the rows if that pays, and otherwise gives them back as they are. @param panels  that the rows will be multiplied with
  RowBlock take(const KernelTable& table, const RowBlock& rows, int64_t k, int64_t padded_k, int64_t panels);

  void accumulate(const KernelTable& table, const int8_t* panels, int64_t panel_count, int32_t* sums) const;

 private:
  struct Choice {
    bool clips;
    SumDepth depth;
  };
  Choice choose(const RowBlock& rows, int64_t k, int64_t panels) const;

  SumDepth depth_{};
  int64_t rows_ = 0, padded_k_ = 0, stride_ = 0;
  std::vector<ClipCount> counts_;
  std::vector<int8_t> clipped_;
  std::vector<ClippedRow> clipped_rows_;
  std::vector<ClippedOff> clipped_off_;
  std::vector<RowTerms> terms_;
};

}  // namespace octet::kernels
