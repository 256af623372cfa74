#pragma once

#include "kernels/elementwise_impl.h"
#include "kernels/kernel_table.h"

namespace octet::kernels {

/// Applies the zero points to a panel's sums and hands each vector of a row to `emit(row, column, sums, lanes)`.
template <class Simd, class Emit>
void finish_rows(const FinishArgs& args, const Emit& emit) {
  const ColumnTerms& columns = args.column_terms;
  for (int64_t row = 0; row < args.rows; ++row) {
    const RowTerms& terms = args.row_terms[row];
    const auto zero_point = Simd::set(terms.zero_point);
    const auto centered_sum = Simd::set(terms.centered_sum);
    for_each_vector<Simd>(args.columns, [&](int64_t column, auto lanes) {
      auto sums = Simd::load(args.sums + row * kColumns + column, lanes);
      sums = Simd::sub(sums, Simd::mul(zero_point, Simd::load(columns.weight_sum + column, lanes)));
      if (args.affine) sums = Simd::sub(sums, Simd::mul(centered_sum, Simd::load(columns.zero_point + column, lanes)));
      emit(row, column, sums, lanes);
    });
  }
}

template <class Simd>
void finish_float(const FinishArgs& args, float* out, int64_t out_stride) {
  const ColumnTerms& columns = args.column_terms;
  finish_rows<Simd>(args, [&](int64_t row, int64_t column, typename Simd::Int sums, auto lanes) {
    const auto scale = Simd::mul(Simd::set(args.row_terms[row].scale), Simd::load(columns.scale + column, lanes));
    auto y = Simd::fma(Simd::to_float(sums), scale, Simd::load(columns.bias + column, lanes));
    if (args.relu) y = relu<Simd>(y);
    Simd::store(out + row * out_stride + column, y, lanes);
  });
}

template <class Simd>
void finish_int32(const FinishArgs& args, int32_t* out, int64_t out_stride) {
  finish_rows<Simd>(args, [&](int64_t row, int64_t column, typename Simd::Int sums, auto lanes) {
    Simd::store(out + row * out_stride + column, sums, lanes);
  });
}

}  // namespace octet::kernels
