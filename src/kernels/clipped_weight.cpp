#include "kernels/clipped_weight.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "kernels/aligned_array.h"
#include "kernels/clipped_kernels.h"

namespace octet::kernels {
namespace {

// What the product of a quad of activations and a column costs, measured on AVX2 machines, in products of clipped weights: in
// 16-bit integers, and what comes on top with clipped ones. What was clipped off is a product of its own, rows are transposed
// once for all columns, and the sums of a column start in memory.
constexpr double kWords = 1.6, kClippedOff = 4.0, kTransposed = 8.0, kStart = 10.0;

bool pays(const PackedWeight& weight, size_t clipped_off) {
  const auto columns = static_cast<double>(weight.panels() * kColumns), k = static_cast<double>(weight.padded_k());
  return 1.0 + kClippedOff * static_cast<double>(clipped_off) / (columns * k / 4) + kTransposed / columns + kStart / k < kWords;
}

/// Collects what was clipped off a column.
class ClippedOffColumn {
 public:
  const std::vector<ClippedOffWeights>& entries() const { return entries_; }

  void clear() {
    entries_.clear();
    used_ = 4;
  }

  void add(int64_t k, int32_t value) {
    if (used_ % 2 == 1 && !fits(entries_.back().value[used_ - 1], value)) ++used_;  // the pair is left with a zero
    if (used_ == 4) {
      entries_.emplace_back();
      used_ = 0;
    }
    entries_.back().k[used_] = static_cast<uint16_t>(k);
    entries_.back().value[used_++] = static_cast<int8_t>(value);
  }

 private:
  static bool fits(int32_t a, int32_t b) { return (a < 0) != (b < 0) || std::abs(a + b) <= kClipLimit; }

  std::vector<ClippedOffWeights> entries_;
  int used_ = 4;  ///< of the last entry
};

constexpr int kElements = 4;               ///< that meet in a 16-bit sum: two bytes of a quad, and the same of the next one
constexpr int kSumsOfStep = 2 * kColumns;  ///< of kClippedStep elements of all columns of a panel

/// The sums of their positive and of their negative parts.
struct PartSums {
  explicit PartSums(const int8_t* step) {
    for (const int8_t* quad : {step, step + 4 * kColumns}) {
      for (int i = 0; i < kSumsOfStep; ++i) {
        const int a = quad[2 * i], b = quad[2 * i + 1];
        positive[i] = static_cast<int16_t>(positive[i] + std::max(a, 0) + std::max(b, 0));
        negative[i] = static_cast<int16_t>(negative[i] + std::min(a, 0) + std::min(b, 0));
      }
    }
  }
  bool fit(int i) const { return positive[i] <= kClipLimit && negative[i] >= -kClipLimit; }

  int16_t positive[kSumsOfStep] = {}, negative[kSumsOfStep] = {};
};

}  // namespace

ClippedWeight::ClippedWeight(const PackedWeight& weight)
    : padded_k_(weight.padded_k()), panels_(aligned_zeros<int8_t>(weight.panels() * weight.panel_bytes())) {
  std::array<ClippedOffColumn, kColumns> clipped_off;
  ends_.reserve(weight.panels() * kColumns + 1);
  ends_.push_back(0);
  std::copy_n(weight.panel(0), weight.panels() * weight.panel_bytes(), panels_.get());
  for (int64_t panel = 0; panel < weight.panels(); ++panel) {
    for (ClippedOffColumn& column : clipped_off) column.clear();
    for (int64_t k = 0; k < padded_k_; k += kClippedStep) {
      int8_t* const step = panels_.get() + panel * weight.panel_bytes() + k * kColumns;
      const PartSums sums(step);
      for (int i = 0; i < kSumsOfStep; ++i) {
        if (sums.fit(i)) continue;
        const auto element = [&](int e) -> int8_t& { return step[e / 2 * 4 * kColumns + 2 * i + e % 2]; };
        int32_t values[kElements];
        for (int e = 0; e < kElements; ++e) values[e] = element(e);
        clip_sum(values, kElements);
        for (int e = 0; e < kElements; ++e) {
          if (element(e) == values[e]) continue;
          clipped_off[i / 2].add(k + e / 2 * 4 + i % 2 * 2 + e % 2, element(e) - values[e]);
          element(e) = static_cast<int8_t>(values[e]);
        }
      }
    }
    for (const ClippedOffColumn& column : clipped_off) {
      clipped_off_.insert(clipped_off_.end(), column.entries().begin(), column.entries().end());
      ends_.push_back(static_cast<uint32_t>(clipped_off_.size()));
    }
  }
  clipped_off_.shrink_to_fit();
}

std::unique_ptr<const ClippedWeight> ClippedWeight::choose(const PackedWeight& weight) {
  if (weight.n() == 0 || weight.padded_k() > UINT16_MAX || !pays(weight, 0)) return nullptr;
  auto clipped = std::make_unique<const ClippedWeight>(weight);
  return pays(weight, clipped->clipped_off_.size()) ? std::move(clipped) : nullptr;
}

int64_t ClippedWeight::bytes() const {
  return (static_cast<int64_t>(ends_.size()) - 1) * padded_k_ +
         static_cast<int64_t>(clipped_off_.size() * sizeof(ClippedOffWeights) + ends_.size() * sizeof(uint32_t));
}

void ClippedWeight::set_panels(int64_t first_panel, int64_t panels, ClippedWeightArgs& args) const {
  args.panels = panels_.get() + first_panel * kColumns * padded_k_;
  args.panel_count = panels;
  args.padded_k = padded_k_;
  args.clipped_off = clipped_off_.data();
  args.ends = ends_.data() + first_panel * kColumns;
}

}  // namespace octet::kernels
