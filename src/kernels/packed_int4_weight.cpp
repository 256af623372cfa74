#include <octet/kernels/packed_int4_weight.h>

#include "kernels/aligned_array.h"
#include "kernels/check.h"

namespace octet::kernels {
namespace {

/// The byte of a panel that element k of column c is in, and by how many bits it is shifted there.
struct NibblePlace {
  NibblePlace(int64_t c, int64_t k) {
    offset = (k / 8 * PackedInt4Weight::kPanelColumns + c) * 4 + k % 4;
    shift = k % 8 < 4 ? 0 : 4;
  }

  int64_t offset;
  int shift;
};

}  // namespace

PackedInt4Weight::PackedInt4Weight(const int8_t* weight, int64_t n, int64_t k, int64_t group_size, const float* scale,
                                   const int8_t* zero_point)
    : n_(n), k_(k), group_size_(group_size) {
  check(n >= 0 && k >= 0, "PackedInt4Weight: n and k must not be negative, got n = ", n, ", k = ", k);
  check(group_size == 32 || group_size == 64 || group_size == 128, "PackedInt4Weight: the group size must be 32, 64 or 128, got ",
        group_size);
  nibbles_ = aligned_zeros<uint8_t>(panels() * panel_bytes());
  scales_ = aligned_zeros<float>(panels() * groups() * kPanelColumns);
  if (zero_point) zero_points_ = aligned_zeros<uint8_t>(panels() * groups() * kPanelColumns);

  const int offset = zero_point ? 0 : kSymmetricOffset;
  for (int64_t c = 0; c < n; ++c) {
    const int64_t in_panel = c % kPanelColumns;
    uint8_t* panel = nibbles_.get() + c / kPanelColumns * panel_bytes();
    for (int64_t i = 0; i < k; ++i) {
      const int value = weight[c * k + i] + offset;
      check(0 <= value && value <= 15, "PackedInt4Weight: weight ", value - offset, " of row ", c, ", column ", i, " is not in ",
            -offset, " .. ", 15 - offset);
      const NibblePlace place(in_panel, i);
      panel[place.offset] |= static_cast<uint8_t>(value << place.shift);
    }
    for (int64_t g = 0; g < groups(); ++g) {
      const int64_t at = (c / kPanelColumns * groups() + g) * kPanelColumns + in_panel;
      scales_[at] = scale[c * groups() + g];
      if (!zero_point) continue;
      const int zero = zero_point[c * groups() + g];
      check(0 <= zero && zero <= 15, "PackedInt4Weight: zero point ", zero, " of row ", c, ", group ", g, " is not in 0 .. 15");
      zero_points_[at] = static_cast<uint8_t>(zero);
    }
  }
}

int64_t PackedInt4Weight::bytes() const {
  const int64_t group_bytes = static_cast<int64_t>(sizeof(float)) + (symmetric() ? 0 : 1);
  return panels() * (panel_bytes() + groups() * kPanelColumns * group_bytes);
}

void PackedInt4Weight::unpack(int8_t* weight, float* scale, int8_t* zero_point) const {
  const int offset = symmetric() ? kSymmetricOffset : 0;
  for (int64_t c = 0; c < n_; ++c) {
    const int64_t index = c / kPanelColumns, in_panel = c % kPanelColumns;
    for (int64_t i = 0; i < k_; ++i) {
      const NibblePlace place(in_panel, i);
      weight[c * k_ + i] = static_cast<int8_t>((panel(index)[place.offset] >> place.shift & 15) - offset);
    }
    for (int64_t g = 0; g < groups(); ++g) {
      const int64_t at = g * kPanelColumns + in_panel;
      scale[c * groups() + g] = panel_scales(index)[at];
      zero_point[c * groups() + g] = static_cast<int8_t>(symmetric() ? 0 : panel_zero_points(index)[at]);
    }
  }
}

}  // namespace octet::kernels
