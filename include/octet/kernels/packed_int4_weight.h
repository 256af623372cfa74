#pragma once

#include <cstdint>
#include <memory>

namespace octet::kernels {

/// A 4-bit weight matrix whose inputs are cut into groups of 32, 64 or 128 (the last may be shorter), each with a scale and
/// perhaps a zero point of its own for each output channel: an integer w stands for `(w - zero_point) * scale`.
///
/// It is laid out once for the kernels of every ISA: panels of 16 columns (output channels), each panel
/// `[padded_k / 8][16][4 bytes]`, so that eight consecutive k of a column fill one 32-bit lane: byte i of it has k = i in its
/// low nibble and k = i + 4 in its high one. A nibble holds 0 .. 15, of symmetric weights w + 8. Immutable; copies share the
/// storage, and any number of threads may use it at once.
class PackedInt4Weight {
 public:
  static constexpr int64_t kPanelColumns = 16;
  static constexpr int64_t kDepthMultiple = 8;
  /// What a nibble of symmetric weights holds beyond the integer.
  static constexpr int32_t kSymmetricOffset = 8;

  /// @param weight      [n][k], row-major: -8 .. 7 without zero points, 0 .. 15 with them
  /// @param group_size  32, 64 or 128
  /// @param scale       [n][groups], groups being k / group_size rounded up
  /// @param zero_point  [n][groups], 0 .. 15; null: all are zero (symmetric weights)
  /// @throws std::invalid_argument for negative sizes, another group size, and integers out of range. Empty matrices (n or k
  ///         zero) are fine.
  PackedInt4Weight(const int8_t* weight, int64_t n, int64_t k, int64_t group_size, const float* scale,
                   const int8_t* zero_point = nullptr);

  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  int64_t group_size() const { return group_size_; }
  int64_t groups() const { return (k_ + group_size_ - 1) / group_size_; }
  bool symmetric() const { return !zero_points_; }
  int64_t padded_k() const { return (k_ + kDepthMultiple - 1) / kDepthMultiple * kDepthMultiple; }
  int64_t panels() const { return (n_ + kPanelColumns - 1) / kPanelColumns; }
  /// Size of the packed integers, scales and zero points. For each weight half a byte and 4 / group_size bytes of scale, with
  /// zero points 5 / group_size: 0.53 to 0.66 bytes, where n is a multiple of 16 and k of the group size.
  int64_t bytes() const;

  const uint8_t* panel(int64_t index) const { return nibbles_.get() + index * panel_bytes(); }
  int64_t panel_bytes() const { return kPanelColumns * padded_k() / 2; }
  /// Of one panel, [groups][16].
  const float* panel_scales(int64_t index) const { return scales_.get() + index * groups() * kPanelColumns; }
  /// Likewise; null for symmetric weights.
  const uint8_t* panel_zero_points(int64_t index) const {
    return zero_points_ ? zero_points_.get() + index * groups() * kPanelColumns : nullptr;
  }

  /// Writes back what was packed. @param zero_point  zeros for symmetric weights
  void unpack(int8_t* weight, float* scale, int8_t* zero_point) const;

 private:
  int64_t n_, k_, group_size_;
  std::shared_ptr<uint8_t[]> nibbles_;
  std::shared_ptr<float[]> scales_;         // [panels][groups][16]
  std::shared_ptr<uint8_t[]> zero_points_;  // likewise, or null
};

}  // namespace octet::kernels
