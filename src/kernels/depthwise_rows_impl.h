#pragma once

#include <cstring>

#include "kernels/depthwise_quads.h"

namespace octet::kernels {

/// The channels of one vector of bytes. `Vector` gives the instructions:
///   kBytes, kPixels                   of a vector; outputs that are summed at once
///   Bytes, Int, Float                 vectors of that size
///   load(p, n), store(p, v, n)        the first n bytes
///   set(byte)
///   interleave(a, b, c, d, out[4])    [channel][4 rows]: in each 128 bits of out[j] the j-th four of a's 16 channels there
///   join(Int[4], offset)              the low bytes of the 16-bit integers plus the offset, in the order of the channels again
///   strided(const void* p)            in each 128 bits the 16 bytes at p, p + 64, ...: 4 integers of every 16
///   dot(sum, a, w)                    adds to each lane the products of four u8 and four s8
template <class Vector>
class DepthwiseQuads {
  using Bytes = typename Vector::Bytes;
  using Int = typename Vector::Int;
  using Float = typename Vector::Float;
  static constexpr int64_t kBytes = Vector::kBytes, kParts = 4, kQuadBytes = kParts * kBytes;

 public:
  /// @param n  channels from `channel` on, kBytes at most
  DepthwiseQuads(const DepthwiseQuadsArgs& args, int64_t channel, int64_t n) : args_(args), channel_(channel), n_(n) {
    columns_ = depthwise_quads_columns(args);
    weight_ = args.scratch;
    quads_ = weight_ + args.row_quads * args.taps * kQuadBytes;
    for (int64_t tap = 0; tap < args.row_quads * args.taps; ++tap) {
      alignas(64) int8_t weight[kQuadBytes] = {};
      memcpy(weight, args.weight + (tap * args.channels + channel) * 4, n * 4);
      for (int64_t part = 0; part < kParts; ++part) {
        Vector::store(weight_ + tap * kQuadBytes + part * kBytes, Vector::strided(weight + part * 16), kBytes);
      }
    }
    alignas(64) int32_t start[kBytes] = {};
    alignas(64) float multiplier[kBytes] = {}, bias[kBytes] = {};
    for (int64_t i = 0; i < n; ++i) {
      const ColumnTerms& terms = args.column_terms;
      start[i] = -args.zero_point * terms.weight_sum[channel + i];
      multiplier[i] = args.scale * terms.scale[channel + i] * args.quantize.inverse_scale;
      bias[i] = terms.bias[channel + i] * args.quantize.inverse_scale;
    }
    for (int64_t part = 0; part < kParts; ++part) {
      start_[part] = Vector::strided(start + part * 4);
      multiplier_[part] = Vector::as_float(Vector::strided(multiplier + part * 4));
      bias_[part] = Vector::as_float(Vector::strided(bias + part * 4));
    }
  }

  void row(int64_t row) const {
    for (int64_t quad = 0; quad < args_.row_quads; ++quad) {
      interleave(args_.rows + (row * args_.row_quads + quad) * 4, quads_ + quad * columns_ * kQuadBytes);
    }
    uint8_t* out = args_.out[row] + channel_;
    int64_t i = 0;
    for (; i + Vector::kPixels <= args_.outputs; i += Vector::kPixels) outputs<Vector::kPixels>(i, out);
    for (; i < args_.outputs; ++i) outputs<1>(i, out);
  }

 private:
  void interleave(const uint8_t* const* rows, uint8_t* out) const {
    for (int64_t i = 0; i < columns_; ++i, out += kQuadBytes) {
      const int64_t column = args_.first_column + i;
      Bytes parts[kParts];
      if (0 <= column && column < args_.columns) {
        const int64_t offset = column * args_.channels + channel_;
        Vector::interleave(Vector::load(rows[0] + offset, n_), Vector::load(rows[1] + offset, n_),
                           Vector::load(rows[2] + offset, n_), Vector::load(rows[3] + offset, n_), parts);
      } else {
        parts[0] = parts[1] = parts[2] = parts[3] = Vector::set(static_cast<uint8_t>(args_.zero_point));
      }
      for (int64_t part = 0; part < kParts; ++part) Vector::store(out + part * kBytes, parts[part], kBytes);
    }
  }

  template <int kPixels>
  void outputs(int64_t first, uint8_t* out) const {
    Int sums[kPixels][kParts];
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
      for (int part = 0; part < kParts; ++part) sums[p][part] = start_[part];
    }
    const uint8_t* weight = weight_;
    for (int64_t quad = 0; quad < args_.row_quads; ++quad) {
      const uint8_t* column = quads_ + (quad * columns_ + first * args_.column_step) * kQuadBytes;
      for (int64_t tap = 0; tap < args_.taps; ++tap, weight += kQuadBytes, column += args_.tap_spacing * kQuadBytes) {
#pragma GCC unroll 4
        for (int part = 0; part < kParts; ++part) {
          const Bytes weights = Vector::load(weight + part * kBytes, kBytes);
#pragma GCC unroll 4
          for (int p = 0; p < kPixels; ++p) {
            const uint8_t* const four = column + p * args_.column_step * kQuadBytes + part * kBytes;
            sums[p][part] = Vector::dot(sums[p][part], Vector::load(four, kBytes), weights);
          }
        }
      }
    }
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; ++p) {
      Int integers[kParts];
#pragma GCC unroll 4
      for (int part = 0; part < kParts; ++part) {
        integers[part] = quantize(Vector::fma(Vector::to_float(sums[p][part]), multiplier_[part], bias_[part]));
      }
      Vector::store(out + (first + p) * args_.out_stride, Vector::join(integers, static_cast<int16_t>(args_.quantize.zero_point)),
                    n_);
    }
  }

  /// As Quantizer, but for the zero point.
  Int quantize(Float scaled) const {
    const auto bound = [&](int32_t limit) { return Vector::set(static_cast<float>(limit - args_.quantize.zero_point)); };
    const Float limited = Vector::min(Vector::max(scaled, bound(args_.quantize.quant_min)), bound(args_.quantize.quant_max));
    return Vector::round(limited);
  }

  const DepthwiseQuadsArgs& args_;
  int64_t channel_, n_, columns_;
  uint8_t *weight_, *quads_;
  Int start_[kParts];
  Float multiplier_[kParts], bias_[kParts];
};

template <class Vector>
void depthwise_quads(const DepthwiseQuadsArgs& args) {
  for (int64_t channel = 0; channel < args.channels; channel += Vector::kBytes) {
    const int64_t left = args.channels - channel;
    const DepthwiseQuads<Vector> block(args, channel, left < Vector::kBytes ? left : Vector::kBytes);
    for (int64_t row = 0; row < args.output_rows; ++row) block.row(row);
  }
}

}  // namespace octet::kernels
