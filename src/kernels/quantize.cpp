#include <octet/kernels/quantize.h>

#include <algorithm>
#include <mutex>
#include <type_traits>

#include "kernels/check.h"
#include "kernels/kernel_table.h"
#include "kernels/quantize_args.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

MinMax min_max_of(const KernelTable& table, const float* x, int64_t n) {
  MinMax range;
  range.has_nan = table.min_max(x, n, &range.min, &range.max);
  return range;
}

template <class Quantized>
void quantize_all(const float* x, int64_t n, const AffineQParams& qparams, Quantized* q, ParallelFor parallel_for) {
  const QuantizeArgs args = quantize_args<Quantized>(qparams, "quantize");
  const KernelTable& table = kernels();
  parallel_for(0, n, kElementsPerTask, [&](int64_t begin, int64_t end) {
    table.quantize(x + begin, end - begin, args, reinterpret_cast<uint8_t*>(q) + begin);
  });
}

template <class Quantized>
void requantize_rows(Matrix<const Quantized> x, int64_t rows, int64_t columns, const AffineQParams& from,
                     const AffineQParams& to, Matrix<Quantized> y) {
  quantize_args<Quantized>(from, "requantize: from");
  const QuantizeArgs args = quantize_args<Quantized>(to, "requantize: to");
  const RequantizeRowsArgs<Quantized> rows_args{
      x.data, x.stride, rows, columns, from.scale, from.zero_point, reinterpret_cast<uint8_t*>(y.data), y.stride};
  if constexpr (std::is_same_v<Quantized, uint8_t>) {
    kernels().requantize_u8(rows_args, args);
  } else {
    kernels().requantize_s8(rows_args, args);
  }
}

}  // namespace

MinMax min_max(const float* x, int64_t n, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  MinMax total;
  std::mutex mutex;
  parallel_for(0, n, kElementsPerTask, [&](int64_t begin, int64_t end) {
    const MinMax range = min_max_of(table, x + begin, end - begin);
    const std::lock_guard lock(mutex);
    total = {std::min(total.min, range.min), std::max(total.max, range.max), total.has_nan || range.has_nan};
  });
  return total;
}

void min_max_rows(Matrix<const float> x, int64_t rows, int64_t columns, MinMax* ranges, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  parallel_for(0, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) ranges[row] = min_max_of(table, x.row(row), columns);
  });
}

void quantize(const float* x, int64_t n, const AffineQParams& qparams, uint8_t* q, ParallelFor parallel_for) {
  quantize_all(x, n, qparams, q, parallel_for);
}

void quantize(const float* x, int64_t n, const AffineQParams& qparams, int8_t* q, ParallelFor parallel_for) {
  quantize_all(x, n, qparams, q, parallel_for);
}

void requantize(Matrix<const uint8_t> x, int64_t rows, int64_t columns, const AffineQParams& from, const AffineQParams& to,
                Matrix<uint8_t> y) {
  requantize_rows(x, rows, columns, from, to, y);
}

void requantize(Matrix<const int8_t> x, int64_t rows, int64_t columns, const AffineQParams& from, const AffineQParams& to,
                Matrix<int8_t> y) {
  requantize_rows(x, rows, columns, from, to, y);
}

void dequantize(const uint8_t* q, int64_t n, const AffineQParams& qparams, float* x, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  parallel_for(0, n, kElementsPerTask, [&](int64_t begin, int64_t end) {
    table.dequantize_u8(q + begin, end - begin, qparams.scale, qparams.zero_point, x + begin);
  });
}

void dequantize(const int8_t* q, int64_t n, const AffineQParams& qparams, float* x, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  parallel_for(0, n, kElementsPerTask, [&](int64_t begin, int64_t end) {
    table.dequantize_s8(q + begin, end - begin, qparams.scale, qparams.zero_point, x + begin);
  });
}

void quantize_rows(Matrix<const float> x, int64_t rows, int64_t columns, const RowsQParams& qparams, Matrix<uint8_t> q,
                   int32_t* row_sums, ParallelFor parallel_for) {
  check(q.stride >= columns, "quantize_rows: the stride of q is ", q.stride, ", which is less than its ", columns, " columns");
  const auto args_of = [&](int64_t row) {
    const int64_t at = qparams.per_row ? row : 0;
    return quantize_args<uint8_t>({qparams.scale[at], qparams.zero_point[at], qparams.quant_min, qparams.quant_max},
                                  "quantize_rows");
  };
  for (int64_t row = 0; row < (qparams.per_row ? rows : std::min<int64_t>(rows, 1)); ++row) args_of(row);
  const KernelTable& table = kernels();
  parallel_for(0, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int32_t sum = table.quantize(x.row(row), columns, args_of(row), q.row(row));
      if (row_sums) row_sums[row] = sum;
      std::fill(q.row(row) + columns, q.row(row) + q.stride, uint8_t{0});
    }
  });
}

void lookup_table(const uint8_t* x, int64_t n, const uint8_t* table, uint8_t* y, ParallelFor parallel_for) {
  const KernelTable& kernel_table = kernels();
  parallel_for(0, n, kElementsPerTask,
               [&](int64_t begin, int64_t end) { kernel_table.look_up(x + begin, end - begin, table, y + begin); });
}

}  // namespace octet::kernels
