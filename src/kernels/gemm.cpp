#include <octet/kernels/gemm.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/check.h"
#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

static_assert(kColumns == PackedWeight::kPanelColumns);

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

void check_arguments(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& qparams) {
  check(activations.rows >= 0, "gemm: rows must not be negative, got ", activations.rows);
  check(activations.q.stride >= weight.padded_k(), "gemm: activations' stride is ", activations.q.stride,
        " bytes, but the kernels read PackedWeight::padded_k() = ", weight.padded_k(), " bytes of each row");
  check(activations.rows == 0 || activations.zero_point, "gemm: activations have no zero point");
  const int64_t count = activations.per_row ? activations.rows : std::min<int64_t>(activations.rows, 1);
  for (int64_t row = 0; row < count; ++row) {
    check(0 <= activations.zero_point[row] && activations.zero_point[row] <= 255, "gemm: activations' zero point ",
          activations.zero_point[row], " of row ", row, " is not in 0 .. 255");
  }
  if (!qparams.zero_point || weight.n() == 0) return;
  check(weight.k() <= PackedWeight::kMaxAffineDepth, "gemm: with weight zero points k must be at most ",
        PackedWeight::kMaxAffineDepth, ", got ", weight.k(),
        ": a longer sum may not fit int32; quantize the weights symmetrically");
  for (int64_t c = 0; c < (qparams.per_channel ? weight.n() : 1); ++c) {
    check(-128 <= qparams.zero_point[c] && qparams.zero_point[c] <= 127, "gemm: weights' zero point ", qparams.zero_point[c],
          " of channel ", c, " is not in -128 .. 127");
  }
}

/// A parameter of each column, whether its caller gave one for each, one for all, or none.
template <class T>
class PerColumn {
 public:
  PerColumn(const T* values, bool many, T absent) : values_(values && many ? values : nullptr) {
    one_.fill(values && !many ? *values : absent);
  }
  /// The values of the panel that starts at that column.
  const T* from(int64_t column) const { return values_ ? values_ + column : one_.data(); }

 private:
  const T* values_;
  std::array<T, kColumns> one_;
};

std::vector<RowTerms> row_terms(const QuantizedActivations& activations, const PackedWeight& weight, bool affine) {
  std::vector<RowTerms> terms(activations.rows);
  for (int64_t row = 0; row < activations.rows; ++row) {
    const int64_t at = activations.per_row ? row : 0;
    const int32_t zero_point = activations.zero_point[at];
    terms[row] = {zero_point, 0, activations.scale ? activations.scale[at] : 0.0f};
    if (!affine) continue;
    int32_t sum = 0;
    if (activations.row_sums) {
      sum = activations.row_sums[row];
    } else {
      for (int64_t k = 0; k < weight.k(); ++k) sum += activations.q.row(row)[k];
    }
    terms[row].centered_sum = sum - zero_point * static_cast<int32_t>(weight.k());
  }
  return terms;
}

/// Cuts the output into blocks of rows times groups of panels, sums each block and finishes its panels.
template <class Out, class Finish>
void run(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& qparams,
         const Epilogue& epilogue, Matrix<Out> out, ParallelFor parallel_for, Finish KernelTable::* finish) {
  check_arguments(activations, weight, qparams);
  const KernelTable& table = kernels();
  const bool affine = qparams.zero_point;
  const std::vector<RowTerms> terms_of_rows = row_terms(activations, weight, affine);
  const PerColumn<int32_t> zero_points(qparams.zero_point, qparams.per_channel, 0);
  const PerColumn<float> scales(qparams.scale, qparams.per_channel, 0.0f);
  const PerColumn<float> biases(epilogue.bias, true, 0.0f);
  const int64_t row_blocks = ceil_div(activations.rows, kRowBlock);
  const int64_t groups = ceil_div(weight.panels(), kPanelGroup);
  const int64_t block_rows = std::min(activations.rows, kRowBlock);
  const int64_t grain_size = items_per_task(kMacsPerTask, block_rows * kPanelGroup * kColumns * weight.padded_k());

  parallel_for(0, row_blocks * groups, grain_size, [&](int64_t begin, int64_t end) {
    alignas(64) int32_t sums[kPanelGroup * kRowBlock * kColumns];
    for (int64_t item = begin; item < end; ++item) {
      const int64_t first_row = item / groups * kRowBlock;
      const int64_t first_panel = item % groups * kPanelGroup;
      const int64_t rows = std::min(kRowBlock, activations.rows - first_row);
      const int64_t panels = std::min(kPanelGroup, weight.panels() - first_panel);
      table.accumulate(
          {activations.q.row(first_row), activations.q.stride, rows, weight.panel(first_panel), panels, weight.padded_k(), sums});
      for (int64_t panel = 0; panel < panels; ++panel) {
        const int64_t first_column = (first_panel + panel) * kColumns;
        const ColumnTerms terms_of_columns{weight.column_sums() + first_column, zero_points.from(first_column),
                                           scales.from(first_column), biases.from(first_column)};
        (table.*finish)({sums + panel * rows * kColumns, rows, std::min(kColumns, weight.n() - first_column), terms_of_columns,
                         &terms_of_rows[first_row], affine, epilogue.relu},
                        out.row(first_row) + first_column, out.stride);
      }
    }
  });
}

}  // namespace

void gemm(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& weight_qparams,
          const Epilogue& epilogue, Matrix<float> out, ParallelFor parallel_for) {
  check(activations.scale || activations.rows == 0, "gemm: activations have no scale");
  check(weight_qparams.scale || weight.n() == 0, "gemm: weights have no scale");
  run(activations, weight, weight_qparams, epilogue, out, parallel_for, &KernelTable::finish_float);
}

void gemm_int32(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& weight_qparams,
                Matrix<int32_t> out, ParallelFor parallel_for) {
  run(activations, weight, weight_qparams, Epilogue{}, out, parallel_for, &KernelTable::finish_int32);
}

}  // namespace octet::kernels
