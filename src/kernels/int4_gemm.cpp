#include <octet/kernels/int4_gemm.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/check.h"
#include "kernels/gemm_block.h"
#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

static_assert(kColumns == PackedInt4Weight::kPanelColumns);
static_assert(kInt4SymmetricOffset == PackedInt4Weight::kSymmetricOffset);

float scale_of(const MinMax& range) {
  constexpr float kLowest = 0x1p-126f;  // its reciprocal is finite
  return std::max(std::max(-range.min, range.max) / 32767.0f, kLowest);
}

/// Rows of activations in 16 bits.
struct Int4Activations {
  Int4Activations(const KernelTable& table, Matrix<const float> x, const MinMax* ranges, int64_t rows,
                  const PackedInt4Weight& weight, ParallelFor parallel_for)
      : stride(2 * weight.padded_k()),
        groups(weight.groups()),
        scale(rows),
        q(static_cast<size_t>(rows * stride)),
        group_sums(static_cast<size_t>(rows * groups)) {
    for (int64_t row = 0; row < rows; ++row) scale[row] = scale_of(ranges[row]);
    parallel_for(0, rows, rows_per_task(weight.k()), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        table.int4_quantize_row(x.row(row), weight.k(), weight.group_size(), 1.0f / scale[row], q.data() + row * stride,
                                group_sums.data() + row * groups);
      }
    });
  }

  int64_t stride, groups;
  std::vector<float> scale;
  std::vector<uint8_t> q;           // [rows][stride]
  std::vector<int32_t> group_sums;  // [rows][groups]
};

}  // namespace

void int4_gemm(Matrix<const float> x, const MinMax* ranges, int64_t rows, const PackedInt4Weight& weight,
               const Epilogue& epilogue, Matrix<float> out, ParallelFor parallel_for) {
  check(rows >= 0, "int4_gemm: rows must not be negative, got ", rows);
  check(!epilogue.residual, "int4_gemm: it takes no residual; add it to the result");
  check(epilogue.upper_bound > 0.0f, "int4_gemm: the upper bound must be positive, got ", epilogue.upper_bound);
  for (int64_t row = 0; row < rows && weight.k() > 0; ++row) {
    check(!ranges[row].has_nan && std::isfinite(ranges[row].min) && std::isfinite(ranges[row].max), "int4_gemm: row ", row,
          " of x holds NaN or infinite values, or its range is missing");
  }
  const KernelTable& table = kernels();
  const Int4Activations activations(table, x, ranges, rows, weight, parallel_for);
  const PerColumn<float> biases(epilogue.bias, true, 0.0f);
  const int64_t row_blocks = ceil_div(rows, kRowBlock);
  const int64_t block_rows = std::min(rows, kRowBlock);

  const int64_t grain_size = items_per_task(kMacsPerTask, block_rows * kColumns * weight.padded_k());
  parallel_for(0, row_blocks * weight.panels(), grain_size, [&](int64_t begin, int64_t end) {
    alignas(64) float sums[kRowBlock * kColumns];
    for (int64_t item = begin; item < end; ++item) {
      const int64_t panel = item % weight.panels(), column = panel * kColumns;
      const int64_t row = part_begin(rows, row_blocks, item / weight.panels());
      const int64_t row_end = part_begin(rows, row_blocks, item / weight.panels() + 1);
      std::fill_n(sums, (row_end - row) * kColumns, 0.0f);
      table.int4_accumulate({.x = activations.q.data() + row * activations.stride,
                             .x_stride = activations.stride,
                             .group_sums = activations.group_sums.data() + row * activations.groups,
                             .groups = activations.groups,
                             .rows = row_end - row,
                             .panel = weight.panel(panel),
                             .scale = weight.panel_scales(panel),
                             .zero_point = weight.panel_zero_points(panel),
                             .padded_k = weight.padded_k(),
                             .group_size = weight.group_size(),
                             .sums = sums});
      table.int4_finish({.sums = sums,
                         .rows = row_end - row,
                         .columns = std::min(kColumns, weight.n() - column),
                         .row_scale = activations.scale.data() + row,
                         .bias = biases.from(column),
                         .relu = epilogue.relu,
                         .upper_bound = epilogue.upper_bound,
                         .out = out.row(row) + column,
                         .out_stride = out.stride});
    }
  });
}

}  // namespace octet::kernels
