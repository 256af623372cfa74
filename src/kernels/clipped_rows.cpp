#include "kernels/clipped_rows.h"

#include <algorithm>

namespace octet::kernels {
namespace {

// What the product of a quad of activations and a panel costs, measured on AVX2 machines: in sums of two quads, of one, and in
// 16-bit integers, for which weights are widened once for many rows. What was clipped off is a product of its own.
constexpr double kTwoQuads = 1.0, kOneQuad = 1.25, kClippedOff = 1.4;
constexpr double widened(int64_t rows) { return rows < 8 ? 1.65 : 1.28; }
// What clipping costs once, whatever the number of panels: for each row, for each quad, and for each sum that does not fit.
constexpr double kRow = 100.0, kCount = 1.0, kFit = 50.0;

/// Blocks that are not looked at after one that did not pay.
constexpr int64_t kSkipped = 7;

/// For each quad, of which a share does not fit.
double clipping(int64_t k, double share) {
  return kRow * 4 / static_cast<double>(std::max<int64_t>(k, 1)) + kCount + kFit * share;
}

/// So that rows do not compete for the same lines of the cache.
int64_t odd_cache_lines(int64_t bytes) { return (bytes + 63) / 64 * 64 | 64; }

}  // namespace

bool ClippedRows::may_pay(const KernelTable& table, int64_t rows, int64_t k, int64_t panels) {
  return table.clipped && kTwoQuads + clipping(k, 0.0) / static_cast<double>(panels) < widened(rows);
}

RowBlock ClippedRows::take(const KernelTable& table, const RowBlock& rows, int64_t k, int64_t padded_k, int64_t panels) {
  RowBlock block = rows;
  block.clipped = nullptr;
  if (!may_pay(table, rows.rows, k, panels)) return block;
  if (skipped_ > 0) {
    --skipped_;
    return block;
  }
  counts_.resize(rows.rows);
  for (int64_t row = 0; row < rows.rows; ++row) counts_[row] = table.clipped->count(rows.q.row(row), k);
  const Choice choice = choose(rows, k, panels);
  if (!choice.clips) {
    skipped_ = kSkipped;
    return block;
  }

  depth_ = choice.depth;
  rows_ = rows.rows;
  padded_k_ = padded_k;
  stride_ = odd_cache_lines(padded_k);
  clipped_.resize(rows.rows * stride_);
  clipped_rows_.resize(rows.rows);
  terms_.assign(rows.terms, rows.terms + rows.rows);
  int64_t end = 0;
  for (int64_t row = 0; row < rows.rows; ++row) {
    const ClipCount& count = counts_[row];
    const int64_t room = 4 * (depth_ == SumDepth::two_quads ? count.two_quads : count.one_quad);
    clipped_off_.resize(std::max<int64_t>(clipped_off_.size(), end + 2 * room));
    ClippedOff* const added = clipped_off_.data() + end;
    const ClipResult result = table.clipped->clip({.a = rows.q.row(row),
                                                   .k = k,
                                                   .padded_k = padded_k,
                                                   .offset = count.offset,
                                                   .depth = depth_,
                                                   .clipped = clipped_.data() + row * stride_,
                                                   .added = added,
                                                   .subtracted = added + room});
    std::copy_n(added + room, result.subtracted, added + result.added);
    clipped_rows_[row] = {.seed = -128 * result.sum,
                          .added = static_cast<int32_t>(end + result.added),
                          .subtracted = static_cast<int32_t>(end + result.added + result.subtracted)};
    end = clipped_rows_[row].subtracted;
    terms_[row].zero_point -= count.offset;
  }
  block.terms = terms_.data();
  block.clipped = this;
  return block;
}

ClippedRows::Choice ClippedRows::choose(const RowBlock& rows, int64_t k, int64_t panels) const {
  int64_t one_quad = 0, two_quads = 0;
  for (const ClipCount& count : counts_) {
    one_quad += count.one_quad;
    two_quads += count.two_quads;
  }
  const double quads = static_cast<double>(rows.rows * std::max<int64_t>(k, 1)) / 4;
  const auto cost = [&](double products, int64_t unfit) {
    const double share = static_cast<double>(unfit) / quads;
    return products + kClippedOff * share + clipping(k, share) / static_cast<double>(panels);
  };
  // A single row waits for the weights' memory whatever the depth.
  const double cost_of_one = cost(rows.rows == 1 ? kTwoQuads : kOneQuad, one_quad), cost_of_two = cost(kTwoQuads, two_quads);
  return {std::min(cost_of_one, cost_of_two) < widened(rows.rows),
          cost_of_one < cost_of_two ? SumDepth::one_quad : SumDepth::two_quads};
}

void ClippedRows::accumulate(const KernelTable& table, const int8_t* panels, int64_t panel_count, int32_t* sums) const {
  table.clipped->accumulate({.clipped = clipped_.data(),
                             .stride = stride_,
                             .rows = rows_,
                             .clipped_rows = clipped_rows_.data(),
                             .clipped_off = clipped_off_.data(),
                             .depth = depth_,
                             .panels = panels,
                             .panel_count = panel_count,
                             .padded_k = padded_k_,
                             .sums = sums});
}

}  // namespace octet::kernels
