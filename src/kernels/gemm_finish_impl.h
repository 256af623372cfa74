#pragma once

#include "kernels/elementwise_impl.h"
#include "kernels/kernel_table.h"
#include "kernels/quantize_impl.h"
#include "kernels/simd_twice.h"

namespace octet::kernels {

/// Applies the zero points to the sums of one vector of a panel's columns, and calls `emit(row, scales, sums)` for each row,
/// where scales is `scale_terms(scale)` of the row's scale. What depends on a row's terms is computed anew only where they
/// change.
template <class Simd, class Lanes, class ScaleTerms, class Emit>
void finish_columns(const FinishArgs& args, int64_t column, Lanes lanes, const ScaleTerms& scale_terms, const Emit& emit) {
  const auto weight_sum = Simd::load(args.column_terms.weight_sum + column, lanes);
  const auto weight_zero_point = args.affine ? Simd::load(args.column_terms.zero_point + column, lanes) : Simd::set(0);
  const RowTerms* terms = args.row_terms;
  const auto offset_terms = [&] { return Simd::mul(Simd::set(terms->zero_point), weight_sum); };
  auto offset = offset_terms();
  auto scales = scale_terms(terms->scale);
  for (int64_t row = 0; row < args.rows; ++row) {
    const RowTerms& last = *terms;
    terms = args.row_terms + row;
    if (terms->zero_point != last.zero_point) offset = offset_terms();
    if (terms->scale != last.scale) scales = scale_terms(terms->scale);
    auto sums = Simd::sub(Simd::load(args.sums + row * kColumns + column, lanes), offset);
    if (args.affine) sums = Simd::sub(sums, Simd::mul(Simd::set(terms->centered_sum), weight_zero_point));
    emit(row, scales, sums);
  }
}

template <class Simd>
void finish_float(const FinishArgs& args, float* out, int64_t out_stride) {
  const ColumnTerms& columns = args.column_terms;
  // Double vectors: rows may be so far apart that a line of the cache is gone before its second half is written.
  for_each_double_vector<Simd>(args.columns, [&]<class Part, class Lanes>(Part, int64_t column, Lanes lanes) {
    const auto weight_scale = Part::load(columns.scale + column, lanes);
    const auto bias = Part::load(columns.bias + column, lanes);
    const auto upper_bound = Part::set(args.upper_bound);
    const auto multiplier = [&](float scale) { return Part::mul(Part::set(scale), weight_scale); };
    finish_columns<Part>(args, column, lanes, multiplier, [&](int64_t row, typename Part::Float scales, typename Part::Int sums) {
      auto y = Part::fma(Part::to_float(sums), scales, bias);
      if (args.relu) y = relu<Part>(y);
      y = Part::min(upper_bound, y);  // gives y where that is NaN
      Part::store(out + row * out_stride + column, y, lanes);
    });
  });
}

template <class Simd>
void finish_int32(const FinishArgs& args, int32_t* out, int64_t out_stride) {
  for_each_vector<Simd>(args.columns, [&](int64_t column, auto lanes) {
    const auto unscaled = [](float) { return 0; };
    finish_columns<Simd>(args, column, lanes, unscaled, [&](int64_t row, int, typename Simd::Int sums) {
      Simd::store(out + row * out_stride + column, sums, lanes);
    });
  });
}

/// Turns the sums of one vector of columns into quantized output, row by row.
template <class Simd, class Lanes>
class Requantizer {
 public:
  Requantizer(const RequantizeArgs& to, const ColumnTerms& columns, int64_t column, Lanes lanes)
      : to_(to),
        quantizer_(to.quantize),
        inverse_scale_(Simd::set(to.quantize.inverse_scale)),
        weight_scale_(Simd::load(columns.scale + column, lanes)),
        bias_(Simd::mul(Simd::load(columns.bias + column, lanes), inverse_scale_)),
        column_(column),
        lanes_(lanes) {}

  /// What the sums of a row with that scale are multiplied with.
  typename Simd::Float multiplier(float scale) const {
    return Simd::mul(Simd::mul(Simd::set(scale), weight_scale_), inverse_scale_);
  }

  void operator()(int64_t row, typename Simd::Float multiplier, typename Simd::Int sums) const {
    auto y = Simd::fma(Simd::to_float(sums), multiplier, bias_);
    if (to_.residual) y = with_residual<Simd>(y, to_, row, column_, lanes_);
    Simd::store_low_bytes(to_.out + row * to_.out_stride + column_, quantizer_(y), lanes_);
  }

 private:
  RequantizeArgs to_;  // a copy: the output may not alias it
  Quantizer<Simd> quantizer_;
  typename Simd::Float inverse_scale_, weight_scale_, bias_;
  int64_t column_;
  Lanes lanes_;
};

template <class Simd>
void finish_requantized(const FinishArgs& args, const RequantizeArgs& to) {
  for_each_double_vector<Simd>(args.columns, [&]<class Part, class Lanes>(Part, int64_t column, Lanes lanes) {
    const Requantizer<Part, Lanes> requantize(to, args.column_terms, column, lanes);
    const auto multiplier = [&](float scale) { return requantize.multiplier(scale); };
    finish_columns<Part>(args, column, lanes, multiplier, [&](int64_t row, typename Part::Float scales, typename Part::Int sums) {
      requantize(row, scales, sums);
    });
  });
}

}  // namespace octet::kernels
