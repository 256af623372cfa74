#pragma once

#include <type_traits>

#include "kernels/depthwise_rows.h"
#include "kernels/simd_lanes.h"

// `Vector` gives the instructions for the channels of one vector of bytes:
//   kLanes                   channels
//   kGroup, kParts           rows of the input that the dot product takes; vectors of sums that the channels need
//   kSums                    sums of each channel that are added up at once, where the input is laid out in memory
//   kStreamRows              rows of outputs that DepthwiseStream computes at once; 0: it is not to be used
//   Bytes, Words, Int, Float vectors of integers of 8, 16 and 32 bits and of floats
//   Lanes, lanes(channels)   those of bytes in memory that there are channels for, if there may be fewer than kLanes
//   load_bytes(p, lanes), store_bytes(p, v, lanes), load(p), store(p, v)        Ints are aligned
//   interleave<T>(rows, parts)    [channel][row], of bytes of type T; a part has of each 4 * kParts channels the next four
//   strided(p)                    of each 4 * kParts integers the first four
//   next_row(part)           the inputs of the rows from the second of a group on, where there is one more than weights
//   dot(sum, a, w)                adds to each lane the products of a channel's inputs and weights, these in memory or not
//   join(parts, offset)           parts and the 16-bit offsets as signed bytes, in the order of the channels; saturates

namespace octet::kernels {

/// As Quantizer, for the channels of a vector, in the order of their parts, and for numbers that fit 32 bits: what is too low or
/// too high stays so until it is a byte. At first the lowest byte stands for -128, where the packs saturate.
template <class Vector>
class BoundedQuantizer {
  using Bytes = typename Vector::Bytes;

 public:
  explicit BoundedQuantizer(const QuantizeArgs& args)
      : offset_(Vector::set_words(static_cast<int16_t>(args.zero_point - args.quant_min - 128))),
        highest_(Vector::set_bytes(static_cast<uint8_t>(args.quant_max - args.quant_min - 128))),
        lowest_(Vector::set_bytes(static_cast<uint8_t>(args.quant_min + 128))) {}

  Bytes operator()(const typename Vector::Float (&scaled)[Vector::kParts]) const {
    typename Vector::Int integers[Vector::kParts];
#pragma GCC unroll 8
    for (int part = 0; part < Vector::kParts; ++part) integers[part] = Vector::round(scaled[part]);
    return Vector::add_bytes(Vector::min_bytes(Vector::join(integers, offset_), highest_), lowest_);
  }

 private:
  typename Vector::Words offset_;
  Bytes highest_, lowest_;
};

/// The channels of one vector: where their sums begin, the weights, and how sums end as bytes.
template <class Vector>
class DepthwiseChannels {
 public:
  using Bytes = typename Vector::Bytes;
  using Int = typename Vector::Int;
  using Float = typename Vector::Float;
  using Sums = Int[Vector::kParts];
  static constexpr int kGroup = Vector::kGroup, kParts = Vector::kParts;
  static constexpr int64_t kGroupBytes = kParts * sizeof(Int);

  /// @param weight_rows  1, or 2 to have the weights of a second row of outputs for the same rows of the input
  DepthwiseChannels(const DepthwiseRowsArgs& args, int64_t channel, int64_t weight_rows)
      : args_(args),
        channel_(channel),
        lanes_(Vector::lanes(args.channels - channel)),
        weight_rows_(weight_rows),
        terms_(args, channel) {
    lay_out_weight();
  }

  /// Of rows of the input that a row of outputs meets.
  int64_t groups() const { return (args_.weight_rows + kGroup - 1) / kGroup; }

  /// Those of a pixel.
  Bytes load(const uint8_t* pixel) const { return Vector::load_bytes(pixel + channel_, lanes_); }
  Bytes padding() const { return Vector::set_bytes(static_cast<uint8_t>(args_.zero_point)); }

  /// [group][tap][weight_rows][kParts]
  const uint8_t* weight() const { return args_.scratch; }
  /// Scratch that is left.
  uint8_t* scratch() const { return args_.scratch + groups() * args_.taps * weight_rows_ * kGroupBytes; }

  [[gnu::always_inline]] void start(Sums& sums) const {
    const Terms& terms = terms_in_memory();
#pragma GCC unroll 8
    for (int part = 0; part < kParts; ++part) sums[part] = terms.start[part];
  }

  /// Of some pixels of some rows; moves the pointers to their outputs on.
  template <int kPixels, int kOutRows>
  [[gnu::always_inline]] void finish(const Sums (&sums)[kPixels][kOutRows], uint8_t* (&out)[kOutRows], int64_t out_stride) const {
    const Terms& terms = terms_in_memory();
    const BoundedQuantizer<Vector> quantizer = terms.quantizer;
    Float multiplier[kParts], bias[kParts];
#pragma GCC unroll 8
    for (int part = 0; part < kParts; ++part) {
      multiplier[part] = terms.multiplier[part];
      bias[part] = terms.bias[part];
    }
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
      for (int r = 0; r < kOutRows; ++r) {
        Float scaled[kParts];
#pragma GCC unroll 8
        for (int part = 0; part < kParts; ++part) {
          scaled[part] = Vector::fma(Vector::to_float(sums[p][r][part]), multiplier[part], bias[part]);
        }
        Vector::store_bytes(out[r] + channel_, quantizer(scaled), lanes_);
        out[r] += out_stride;
      }
    }
  }

  template <class Byte>
  static void store_interleaved(const Bytes (&rows)[kGroup], uint8_t* to) {
    Int parts[kParts];
    Vector::template interleave<Byte>(rows, parts);
    for (int part = 0; part < kParts; ++part) Vector::store(to + part * sizeof(Int), parts[part]);
  }

 private:
  struct Terms {
    Terms(const DepthwiseRowsArgs& args, int64_t channel) : quantizer(args.quantize) {
      alignas(64) int32_t sum[Vector::kLanes] = {};
      alignas(64) float scale[Vector::kLanes] = {}, offset[Vector::kLanes] = {};
      constexpr bool kAll = std::is_same_v<typename Vector::Lanes, AllLanes>;
      const int64_t channels = kAll ? Vector::kLanes : args.channels - channel;
      for (int64_t i = 0; i < channels; ++i) {
        sum[i] = -args.zero_point * args.column_terms.weight_sum[channel + i];
        scale[i] = args.scale * args.column_terms.scale[channel + i] * args.quantize.inverse_scale;
        offset[i] = args.column_terms.bias[channel + i] * args.quantize.inverse_scale;
      }
      for (int part = 0; part < kParts; ++part) {
        start[part] = Vector::strided(sum + part * 4);
        multiplier[part] = Vector::as_float(Vector::strided(scale + part * 4));
        bias[part] = Vector::as_float(Vector::strided(offset + part * 4));
      }
    }

    Int start[kParts];
    Float multiplier[kParts], bias[kParts];
    BoundedQuantizer<Vector> quantizer;
  };

  /// Else the compiler would keep them in registers, for which there are too few.
  [[gnu::always_inline]] const Terms& terms_in_memory() const {
    const Terms* terms = &terms_;
    asm("" : "+r"(terms));
    return *terms;
  }

  void lay_out_weight() const {
    uint8_t* to = args_.scratch;
    for (int64_t group = 0; group < groups(); ++group) {
      for (int64_t tap = 0; tap < args_.taps; ++tap) {
        for (int64_t out_row = 0; out_row < weight_rows_; ++out_row, to += kGroupBytes) {
          Bytes rows[kGroup];
          for (int j = 0; j < kGroup; ++j) {
            const int64_t row = group * kGroup + j - out_row * args_.row_step;
            const bool any = 0 <= row && row < args_.weight_rows;
            const auto* const weight = reinterpret_cast<const uint8_t*>(args_.weight);
            rows[j] = any ? load(weight + (row * args_.taps + tap) * args_.channels) : Vector::set_bytes(0);
          }
          store_interleaved<int8_t>(rows, to);
        }
      }
    }
  }

  const DepthwiseRowsArgs& args_;
  int64_t channel_;
  typename Vector::Lanes lanes_;
  int64_t weight_rows_;
  Terms terms_;
};

}  // namespace octet::kernels
