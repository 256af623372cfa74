#pragma once

#include <octet/kernels/packed_weight.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/clipped_weight_kernels.h"

namespace octet::kernels {

/// A second form of a weight, for an ISA whose 16-bit sums of products saturate: its elements are clipped where they meet in such
/// a sum, so that it fits whatever the activations are, and what was clipped off is kept in lists. Immutable.
class ClippedWeight {
 public:
  explicit ClippedWeight(const PackedWeight& weight);

  /// @return null if the weight's own form is expected to be faster for many rows, the products of which are 16-bit ones
  static std::unique_ptr<const ClippedWeight> choose(const PackedWeight& weight);

  int64_t bytes() const;

  /// Completes the arguments of a product with the panels from that one on; the rows are the caller's.
  void set_panels(int64_t first_panel, int64_t panels, ClippedWeightArgs& args) const;

 private:
  int64_t padded_k_;
  std::shared_ptr<int8_t[]> panels_;
  std::vector<ClippedOffWeights> clipped_off_;
  std::vector<uint32_t> ends_;
};

}  // namespace octet::kernels
