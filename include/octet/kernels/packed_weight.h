#pragma once

#include <cstdint>
#include <memory>

namespace octet::kernels {

class ClippedWeight;

/// A signed 8-bit weight matrix, laid out once for the GEMM kernels of every ISA: panels of 16 columns (output
/// channels), each panel `[padded_k / 4][16][4]`, so that four consecutive k of a column fill one 32-bit lane; zeros
/// where k or n is padded. Immutable; copies share the storage, and any number of threads may use it at once.
class PackedWeight {
 public:
  static constexpr int64_t kPanelColumns = 16;
  static constexpr int64_t kDepthMultiple = 8;
  /// The largest k for which a sum of k products of u8 and s8 always fits int32: (2^31 - 1) / (255 * 128).
  static constexpr int64_t kMaxDepth = 65'793;
  /// The same when the weights have zero points, so that |w - zero_point| reaches 255: (2^31 - 1) / (255 * 255).
  static constexpr int64_t kMaxAffineDepth = 33'025;

  /// @param weight  [n][k], row-major: one output channel a row, as in torch.nn.Linear
  /// @throws std::invalid_argument for negative sizes and for k > kMaxDepth. Empty matrices (n or k zero) are fine.
  PackedWeight(const int8_t* weight, int64_t n, int64_t k);

  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  int64_t padded_k() const { return padded(k_); }  ///< how many bytes of each row of activations the kernels read
  /// A stride for rows of activations, padded_k or a little more, with which the rows do not compete for the same lines of a cache.
  int64_t row_stride() const { return padded_k() % 512 == 0 ? padded_k() + 64 : padded_k(); }
  int64_t panels() const { return (n_ + kPanelColumns - 1) / kPanelColumns; }
  int64_t bytes() const;  ///< size of the packed weights, in both forms if there are two, and of the column sums

  const int8_t* panel(int64_t index) const { return data_.get() + index * panel_bytes(); }
  int64_t panel_bytes() const { return kPanelColumns * padded_k(); }
  /// The sum over k of each column; zeros after the last column, up to a whole panel.
  const int32_t* column_sums() const { return column_sums_.get(); }

  /// A second form, which is faster for many rows on an ISA whose 16-bit sums of products saturate. Made by the first call, and
  /// null if it would not be faster, or if weights were to be compact when this one was packed.
  const ClippedWeight* clipped() const;

  /// Writes back what was packed. @param weight  [n][k]
  void unpack(int8_t* weight) const;

  /// k rounded up to kDepthMultiple.
  static constexpr int64_t padded(int64_t k) { return (k + kDepthMultiple - 1) / kDepthMultiple * kDepthMultiple; }

  /// Where element k of a panel's column lies within the panel.
  static constexpr int64_t offset_in_panel(int64_t column, int64_t k) { return (k / 4 * kPanelColumns + column) * 4 + k % 4; }

 private:
  int64_t n_, k_;
  std::shared_ptr<int8_t[]> data_;
  std::shared_ptr<int32_t[]> column_sums_;
  struct SecondForm;
  std::shared_ptr<SecondForm> second_form_;  ///< null if there is to be none
};

}  // namespace octet::kernels
