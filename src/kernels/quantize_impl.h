#pragma once

#include "kernels/kernel_table.h"
#include "kernels/simd_lanes.h"
#include "kernels/simd_twice.h"

namespace octet::kernels {

template <class Simd>
bool min_max(const float* x, int64_t n, float* min, float* max) {
  constexpr float kInfinity = __builtin_huge_valf();
  auto low = Simd::set(kInfinity);
  auto high = Simd::set(-kInfinity);
  auto nan = Simd::set(0);
  const int64_t whole = n / Simd::kLanes * Simd::kLanes;
  const auto add = [&](const float* p) {
    const auto v = Simd::load(p, AllLanes{});
    low = Simd::min(v, low);  // the second argument stays where v is NaN
    high = Simd::max(v, high);
    nan = Simd::bit_or(nan, Simd::is_nan(v));
  };
  for (int64_t i = 0; i < whole; i += Simd::kLanes) add(x + i);
  if (whole < n) {
    // Lanes beyond the end repeat a value that counts anyway.
    float rest[Simd::kLanes];
    for (int64_t l = 0; l < Simd::kLanes; ++l) rest[l] = x[whole + l < n ? whole + l : n - 1];
    add(rest);
  }
  *min = Simd::lowest(low) + 0.0f;  // which of two zeros comes out depends on the order; this makes it +0
  *max = Simd::highest(high) + 0.0f;
  return Simd::any(nan);
}

/// Scaled values to integers: clamped before the zero point is added and before the rounding, which gives the same
/// integers and does not overflow on the way. NaN becomes the lowest.
template <class Simd>
struct Quantizer {
  explicit Quantizer(const QuantizeArgs& args)
      : low(Simd::set(static_cast<float>(args.quant_min - args.zero_point))),
        high(Simd::set(static_cast<float>(args.quant_max - args.zero_point))),
        zero_point(Simd::set(args.zero_point)) {}

  typename Simd::Int operator()(typename Simd::Float scaled) const {
    return Simd::add(Simd::round(Simd::min(Simd::max(scaled, low), high)), zero_point);
  }

  typename Simd::Float low, high;
  typename Simd::Int zero_point;
};

/// y and the residual of a row's columns from that one on, in steps of the output.
template <class Simd, class Lanes>
typename Simd::Float with_residual(typename Simd::Float y, const RequantizeArgs& to, int64_t row, int64_t column, Lanes lanes) {
  const auto q = Simd::load(to.residual + row * to.residual_stride + column, lanes);
  const auto difference = Simd::sub(q, Simd::set(to.residual_zero_point));
  return Simd::fma(Simd::to_float(difference), Simd::set(to.residual_multiplier), y);
}

/// Whether BytesQuantizer can be had.
template <class Simd>
constexpr bool kQuantizesBytes = requires { typename Simd::Bytes; };

/// Four scaled vectors to one of bytes, which takes half the instructions that vectors by themselves would. The bytes are the low
/// ones of Quantizer's integers: values above the range are limited as floats, those below it and NaN by saturation.
template <class Simd>
class BytesQuantizer {
 public:
  explicit BytesQuantizer(const QuantizeArgs& args)
      : high_(Simd::set(static_cast<float>(args.quant_max - args.zero_point))),
        zero_point_(Simd::set_words(static_cast<int16_t>(args.zero_point + shift(args)))),
        low_(Simd::set_bytes(static_cast<uint8_t>(args.quant_min + shift(args)))),
        shift_(Simd::set_bytes(static_cast<uint8_t>(shift(args)))) {}

  /// Whether all bytes are the range, so that nothing but saturation limits values that fit int32.
  static bool is_all_bytes(const QuantizeArgs& args) { return args.quant_min == 0 && args.quant_max == 255; }
  [[gnu::always_inline]] typename Simd::Bytes all_bytes(const typename Simd::Float (&scaled)[4]) const {
    typename Simd::Int integers[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) integers[i] = Simd::round(scaled[i]);
    return Simd::saturated_bytes(integers[0], integers[1], integers[2], integers[3], zero_point_);
  }

  [[gnu::always_inline]] typename Simd::Bytes operator()(const typename Simd::Float (&scaled)[4]) const {
    typename Simd::Int integers[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) integers[i] = Simd::round(Simd::min(high_, scaled[i]));  // NaN stays, and becomes the lowest
    const auto bytes = Simd::saturated_bytes(integers[0], integers[1], integers[2], integers[3], zero_point_);
    return Simd::exclusive_or(Simd::max_bytes(bytes, low_), shift_);
  }

 private:
  /// Signed bytes are made as unsigned ones 128 higher, which differ in one bit.
  static int32_t shift(const QuantizeArgs& args) { return args.quant_min < 0 ? 128 : 0; }

  typename Simd::Float high_;
  typename Simd::Int zero_point_;
  typename Simd::Bytes low_, shift_;
};

/// Quantizes n scaled values: `value(part, i, lanes)` gives those from the i-th on, where `part` has the operations of these vectors.
template <class Simd, class Value>
[[gnu::always_inline]] inline void quantize_values(int64_t n, const QuantizeArgs& args, uint8_t* q, const Value& value) {
  int64_t done = 0;
  if constexpr (kQuantizesBytes<Simd>) {
    constexpr int64_t kStep = 4 * Simd::kLanes;
    const BytesQuantizer<Simd> quantizer(args);
    for (; done + kStep <= n; done += kStep) {
      typename Simd::Float values[4];
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) values[v] = value(Simd{}, done + v * Simd::kLanes, AllLanes{});
      Simd::store_all_bytes(q + done, quantizer(values));
    }
  }
  for_each_double_vector<Simd>(n - done, [&]<class Part>(Part part, int64_t i, auto lanes) {
    const Quantizer<Part> quantizer(args);
    Part::store_low_bytes(q + done + i, quantizer(value(part, done + i, lanes)), lanes);
  });
}

/// By way of float32 numbers. The arguments are copies, which the output can't alias.
template <class Simd, class Quantized>
void requantize(const RequantizeRowsArgs<Quantized>& args, QuantizeArgs to) {
  const RequantizeRowsArgs<Quantized> from = args;
  for (int64_t row = 0; row < from.rows; ++row) {
    const Quantized* const x = from.x + row * from.x_stride;
    quantize_values<Simd>(from.columns, to, from.y + row * from.y_stride, [&]<class Part>(Part, int64_t i, auto lanes) {
      const auto difference = Part::sub(Part::load(x + i, lanes), Part::set(from.zero_point));
      return Part::mul(Part::mul(Part::to_float(difference), Part::set(from.scale)), Part::set(to.inverse_scale));
    });
  }
}

template <class Simd>
int32_t quantize(const float* x, int64_t n, const QuantizeArgs& args, uint8_t* q) {
  const Quantizer<Simd> quantizer(args);
  const auto inverse_scale = Simd::set(args.inverse_scale);
  auto total = Simd::set(0);
  const auto quantized = [&](const float* p, auto lanes) { return quantizer(Simd::mul(Simd::load(p, lanes), inverse_scale)); };
  const int64_t whole = n / Simd::kLanes * Simd::kLanes;
  for (int64_t i = 0; i < whole; i += Simd::kLanes) {
    const auto v = quantized(x + i, AllLanes{});
    total = Simd::add(total, v);
    Simd::store_low_bytes(q + i, v, AllLanes{});
  }
  int32_t sum = Simd::sum(total);
  if constexpr (Simd::kLanes > 1) {
    if (whole < n) {
      int32_t rest[Simd::kLanes];
      const FirstLanes lanes{n - whole};
      const auto v = quantized(x + whole, lanes);
      Simd::store_low_bytes(q + whole, v, lanes);
      Simd::store(rest, v, AllLanes{});
      for (int64_t l = 0; l < lanes.count; ++l)
        sum = static_cast<int32_t>(static_cast<uint32_t>(sum) + static_cast<uint32_t>(rest[l]));
    }
  }
  return sum;
}

template <class Simd, class Quantized>
void dequantize(const Quantized* q, int64_t n, float scale, int32_t zero_point, float* x) {
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) {
    const auto difference = Simd::sub(Simd::load(q + i, lanes), Simd::set(zero_point));
    Simd::store(x + i, Simd::mul(Simd::to_float(difference), Simd::set(scale)), lanes);
  });
}

template <class Simd>
void look_up(const uint8_t* x, int64_t n, const uint8_t* table, uint8_t* y) {
  using Table = typename Simd::ByteTable;
  const Table entries(table);
  const int64_t whole = n / Table::kBytes * Table::kBytes;
  for (int64_t i = 0; i < whole; i += Table::kBytes) entries.look_up(x + i, y + i);
  for (int64_t i = whole; i < n; ++i) y[i] = table[x[i]];
}

}  // namespace octet::kernels
