#include <octet/kernels/compact_weights.h>
#include <octet/kernels/packed_weight.h>

#include <atomic>
#include <mutex>

#include "kernels/aligned_array.h"
#include "kernels/check.h"
#include "kernels/clipped_weight.h"

namespace octet::kernels {

struct PackedWeight::SecondForm {
  std::once_flag once;
  std::unique_ptr<const ClippedWeight> clipped;
  std::atomic<int64_t> bytes = 0;
};

PackedWeight::PackedWeight(const int8_t* weight, int64_t n, int64_t k) : n_(n), k_(k) {
  check(n >= 0 && k >= 0, "PackedWeight: n and k must not be negative, got n = ", n, ", k = ", k);
  check(k <= kMaxDepth, "PackedWeight: k must be at most ", kMaxDepth, ", got ", k,
        ": a longer sum of products of 8-bit integers may not fit int32; split the layer along its inputs");
  data_ = aligned_zeros<int8_t>(panels() * panel_bytes());
  column_sums_ = aligned_zeros<int32_t>(panels() * kPanelColumns);
  if (!compact_weights()) second_form_ = std::make_shared<SecondForm>();
  for (int64_t c = 0; c < n; ++c) {
    int8_t* panel = data_.get() + c / kPanelColumns * panel_bytes();
    int32_t sum = 0;
    for (int64_t i = 0; i < k; ++i) {
      panel[offset_in_panel(c % kPanelColumns, i)] = weight[c * k + i];
      sum += weight[c * k + i];
    }
    column_sums_[c] = sum;
  }
}

int64_t PackedWeight::bytes() const {
  const int64_t first_form = panels() * (panel_bytes() + kPanelColumns * static_cast<int64_t>(sizeof(int32_t)));
  return first_form + (second_form_ ? second_form_->bytes.load() : 0);
}

const ClippedWeight* PackedWeight::clipped() const {
  if (!second_form_) return nullptr;
  SecondForm& form = *second_form_;
  std::call_once(form.once, [&] {
    form.clipped = ClippedWeight::choose(*this);
    if (form.clipped) form.bytes = form.clipped->bytes();
  });
  return form.clipped.get();
}

void PackedWeight::unpack(int8_t* weight) const {
  for (int64_t c = 0; c < n_; ++c) {
    for (int64_t i = 0; i < k_; ++i) weight[c * k_ + i] = panel(c / kPanelColumns)[offset_in_panel(c % kPanelColumns, i)];
  }
}

}  // namespace octet::kernels
