#include <octet/kernels/gemm.h>

#include <algorithm>
#include <vector>

#include "kernels/check.h"
#include "kernels/gemm_block.h"
#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

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
  check_weight_qparams(qparams, weight.n(), weight.k(), "gemm");
}

void check_scales(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& qparams) {
  check(activations.scale || activations.rows == 0, "gemm: activations have no scale");
  check(qparams.scale || weight.n() == 0, "gemm: weights have no scale");
}

void get_row_terms(const QuantizedActivations& activations, const PackedWeight& weight, bool affine,
                   std::vector<RowTerms>& terms) {
  terms.resize(activations.rows);
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
}

/// Cuts the output into blocks of rows times groups of panels, sums each block, and hands each panel of it to
/// `finish(table, args, row, column)`, unless it can be requantized at once.
/// @param to  where requantized output goes; null for other output
template <class Finish>
void run(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& qparams,
         const Epilogue& epilogue, const RequantizeArgs* to, ParallelFor parallel_for, const Finish& finish) {
  check_arguments(activations, weight, qparams);
  const KernelTable& table = kernels();
  const Columns columns(qparams, epilogue);
  thread_local std::vector<RowTerms> terms_of_thread;  // kept, as a recurrent network comes here at every step
  get_row_terms(activations, weight, columns.affine, terms_of_thread);
  const RowTerms* const terms = terms_of_thread.data();
  const int64_t block_rows = std::min(activations.rows, kRowBlock);
  const PanelGroups groups(weight, block_rows);
  const int64_t grain_size = items_per_task(kMacsPerTask, block_rows * groups.size * kColumns * weight.padded_k());

  const bool clipped_weight = takes_clipped_weight(table, weight, block_rows);
  const RowBlocks row_blocks(activations.rows, clipped_weight);
  const bool at_once =
      to && block_rows > 0 && !activations.per_row && can_requantize_at_once(table, weight, columns.affine, clipped_weight);
  thread_local RequantizedColumns columns_of_thread;
  const RequantizedColumns& requantized = columns_of_thread;
  if (at_once) columns_of_thread.reserve(1, weight.panels()).set(0, weight, columns, 0, terms[0], to->quantize.inverse_scale);

  parallel_for(0, row_blocks.count * groups.count, grain_size, [&](int64_t begin, int64_t end) {
    thread_local ClippedRows clipped;
    thread_local AlignedScratch<uint8_t> transposed_rows;
    clipped.begin();
    for (int64_t item = begin; item < end;) {
      // All items of the same rows.
      const int64_t row_block = item / groups.count, first_panel = item % groups.count * groups.size;
      const int64_t next = std::min((row_block + 1) * groups.count, end);
      const int64_t row = row_blocks.begin(row_block), row_end = row_blocks.begin(row_block + 1);
      const RowBlock rows{{activations.q.row(row), activations.q.stride}, row_end - row, terms + row};
      const int64_t panels = std::min((next - item) * groups.size, groups.panels - first_panel);
      const RowBlock block = clipped_weight ? transposed(table, rows, weight, transposed_rows)
                                            : clipped.take(table, rows, weight.k(), weight.padded_k(), panels);
      if (at_once && !block.clipped) {
        multiply_requantized(table, block, weight, first_panel, panels, requantized.of(0, first_panel),
                             from(*to, row, first_panel * kColumns));
        item = next;
        continue;
      }
      for (; item < next; ++item) {
        multiply_block(table, block, weight, groups, item % groups.count, columns, 0,
                       [&](const FinishArgs& args, int64_t column) { finish(table, args, row, column); });
      }
    }
  });
}

template <class Quantized>
void run_requantized(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& weight_qparams,
                     const Epilogue& epilogue, const AffineQParams& out_qparams, Matrix<Quantized> out,
                     ParallelFor parallel_for) {
  check_scales(activations, weight, weight_qparams);
  const RequantizeArgs to = requantize_args(out_qparams, epilogue, out, weight.n(), "gemm");
  run(activations, weight, weight_qparams, epilogue, &to, parallel_for,
      [&](const KernelTable& table, const FinishArgs& args, int64_t row, int64_t column) {
        table.finish_requantized(args, from(to, row, column));
      });
}

}  // namespace

void gemm(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& weight_qparams,
          const Epilogue& epilogue, Matrix<float> out, ParallelFor parallel_for) {
  check_scales(activations, weight, weight_qparams);
  check(epilogue.upper_bound > 0.0f, "gemm: the upper bound must be positive, got ", epilogue.upper_bound);
  check(!epilogue.residual, "gemm: float output takes no residual; add it to the result, or ask for requantized output");
  run(activations, weight, weight_qparams, epilogue, nullptr, parallel_for,
      [&](const KernelTable& table, FinishArgs args, int64_t row, int64_t column) {
        args.relu = epilogue.relu;
        args.upper_bound = epilogue.upper_bound;
        table.finish_float(args, out.row(row) + column, out.stride);
      });
}

void gemm(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& weight_qparams,
          const Epilogue& epilogue, const AffineQParams& out_qparams, Matrix<uint8_t> out, ParallelFor parallel_for) {
  run_requantized(activations, weight, weight_qparams, epilogue, out_qparams, out, parallel_for);
}

void gemm(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& weight_qparams,
          const Epilogue& epilogue, const AffineQParams& out_qparams, Matrix<int8_t> out, ParallelFor parallel_for) {
  run_requantized(activations, weight, weight_qparams, epilogue, out_qparams, out, parallel_for);
}

void gemm_int32(const QuantizedActivations& activations, const PackedWeight& weight, const WeightQParams& weight_qparams,
                Matrix<int32_t> out, ParallelFor parallel_for) {
  run(activations, weight, weight_qparams, Epilogue{}, nullptr, parallel_for,
      [&](const KernelTable& table, const FinishArgs& args, int64_t row, int64_t column) {
        table.finish_int32(args, out.row(row) + column, out.stride);
      });
}

}  // namespace octet::kernels
