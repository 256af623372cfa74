#pragma once

#include <type_traits>

#include "kernels/depthwise_rows.h"
#include "kernels/simd_lanes.h"

// `Vector` gives the instructions for the channels of one vector of bytes:
//   kLanes                   channels
//   kGroup, kParts           rows of the input that the dot product takes; vectors of sums that the channels need
//   kSums                    sums of each channel that are added up at once, where the input is laid out in memory
//   kStreamRows              rows of outputs that DepthwiseStream computes at once; 0: it is not to be used
//   kJoined                  outputs that fill a vector of bytes; two where the channels have two parts, else one
//   Int, Float, Words        vectors of integers of 32 bits, of floats, and of the words that two parts become
//   Bytes, Joined            vectors of the channels' bytes, and of those of kJoined outputs
//   Lanes, lanes(channels)   those of bytes in memory that there are channels for, if there may be fewer than kLanes
//   load_bytes(p, lanes), load(p), store(p, v)                                  Ints are aligned
//   store_bytes<i>(p, v, lanes)   the i-th of the joined outputs
//   interleave<T>(rows, parts)    [channel][row], of bytes of type T; a part has of each 4 * kParts channels the next four
//   strided(p)                    of each 4 * kParts integers the first four
//   next_row(part)           the inputs of the rows from the second of a group on, where there is one more than weights
//   dot(sum, a, w)                adds to each lane the products of a channel's inputs and weights, these in memory or not
//   words(first, second, offset)  two parts, and the offsets; saturates
//   bytes(first, second)          words as signed bytes, in the order of the channels; saturates
// Where the dot product takes pairs of words, there are also zero(), add(a, b), sub(a, b), add_words(a, b) and sub_words(a, b).

namespace octet::kernels {

/// The channels of one vector: where their sums begin, the weights, and how sums end as bytes.
template <class Vector>
class DepthwiseChannels {
 public:
  using Bytes = typename Vector::Bytes;
  using Int = typename Vector::Int;
  using Float = typename Vector::Float;
  using Words = typename Vector::Words;
  using Joined = typename Vector::Joined;
  using Sums = Int[Vector::kParts];
  static constexpr int kGroup = Vector::kGroup, kParts = Vector::kParts;
  static constexpr int kHalves = kParts / 2;  ///< pairs of parts, which become a vector of words
  static constexpr int64_t kGroupBytes = kParts * sizeof(Int);

  /// @param weight_rows  1, or 2 to have the weights of a second row of outputs for the same rows of the input; 0 for none
  /// @param factor  a power of 2 that the sums come out times. (Where a scale can't be divided by it exactly, what it scales is
  ///                too small to count.)
  DepthwiseChannels(const DepthwiseRowsArgs& args, int64_t channel, int64_t weight_rows, int32_t factor = 1)
      : args_(args),
        channel_(channel),
        lanes_(Vector::lanes(args.channels - channel)),
        weight_rows_(weight_rows),
        terms_(args, channel, factor) {
    lay_out_weight();
  }

  /// Of rows of the input that a row of outputs meets.
  int64_t groups() const { return (args_.weight_rows + kGroup - 1) / kGroup; }

  /// Those of a pixel.
  Bytes load(const uint8_t* pixel) const { return Vector::load_bytes(pixel + channel_, lanes_); }
  Bytes padding() const { return Vector::set_bytes(static_cast<uint8_t>(args_.zero_point)); }

  /// [group][tap][weight_rows][kParts]
  const uint8_t* weight() const { return args_.scratch; }
  /// Zero where the kernel has no such row.
  [[gnu::always_inline]] Bytes weight_bytes(int64_t row, int64_t tap) const {
    if (row < 0 || row >= args_.weight_rows) return Vector::set_bytes(0);
    return load(reinterpret_cast<const uint8_t*>(args_.weight) + (row * args_.taps + tap) * args_.channels);
  }
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
    if constexpr (kHalves == 1) {
      Words words[kPixels][kOutRows][kHalves];
      round<0, kHalves>(sums, words);
      store(words, out, out_stride);
      return;
    }
    // One output after the other, which takes less time where the registers suffice.
    const Terms& terms = terms_in_memory();
    const Words offset = terms.offset;
    const Joined highest = terms.highest, lowest = terms.lowest;
    Float multiplier[kParts], bias[kParts];
#pragma GCC unroll 4
    for (int part = 0; part < kParts; ++part) {
      multiplier[part] = terms.multiplier[part];
      bias[part] = terms.bias[part];
    }
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
      for (int r = 0; r < kOutRows; ++r) {
        Int integers[4];
#pragma GCC unroll 4
        for (int part = 0; part < kParts; ++part) integers[part] = scaled(sums[p][r][part], multiplier[part], bias[part]);
        const Words first = Vector::words(integers[0], integers[1], offset);
        store_bytes<0>(bytes(first, Vector::words(integers[2], integers[3], offset), highest, lowest), out[r], out_stride);
      }
    }
  }

  /// Some halves of the sums of some pixels of some rows, as words: for where all of them would take too many registers.
  template <int kFirst, int kEnd, int kPixels, int kOutRows>
  [[gnu::always_inline]] void round(const Sums (&sums)[kPixels][kOutRows], Words (&words)[kPixels][kOutRows][kHalves]) const {
    const Terms& terms = terms_in_memory();
    const Words offset = terms.offset;
    Float multiplier[kParts], bias[kParts];
#pragma GCC unroll 4
    for (int part = kFirst * 2; part < kEnd * 2; ++part) {
      multiplier[part] = terms.multiplier[part];
      bias[part] = terms.bias[part];
    }
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
      for (int r = 0; r < kOutRows; ++r) {
        Int integers[kParts];
#pragma GCC unroll 4
        for (int part = kFirst * 2; part < kEnd * 2; ++part)
          integers[part] = scaled(sums[p][r][part], multiplier[part], bias[part]);
#pragma GCC unroll 2
        for (int half = kFirst; half < kEnd; ++half) {
          words[p][r][half] = Vector::words(integers[half * 2], integers[half * 2 + 1], offset);
        }
      }
    }
  }

  /// All halves as bytes; moves the pointers to their outputs on.
  template <int kPixels, int kOutRows>
  [[gnu::always_inline]] void store(const Words (&words)[kPixels][kOutRows][kHalves], uint8_t* (&out)[kOutRows],
                                    int64_t out_stride) const {
    const Joined highest = terms_in_memory().highest, lowest = terms_in_memory().lowest;
    constexpr int kOutputs = kPixels * kOutRows;
#pragma GCC unroll 8
    for (int i = 0; i < kOutputs; i += Vector::kJoined) {
      const int next = Vector::kJoined == 2 && i + 1 < kOutputs ? i + 1 : i;
      const Words second = words[next / kOutRows][next % kOutRows][kHalves - 1];
      const Joined joined = bytes(words[i / kOutRows][i % kOutRows][0], second, highest, lowest);
      store_bytes<0>(joined, out[i % kOutRows], out_stride);
      if (next > i) store_bytes<1>(joined, out[next % kOutRows], out_stride);
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
    Terms(const DepthwiseRowsArgs& args, int64_t channel, int32_t factor) {
      alignas(64) int32_t sum[Vector::kLanes] = {};
      alignas(64) float scale[Vector::kLanes] = {}, constant[Vector::kLanes] = {};
      constexpr bool kAll = std::is_same_v<typename Vector::Lanes, AllLanes>;
      const int64_t channels = kAll ? Vector::kLanes : args.channels - channel;
      for (int64_t i = 0; i < channels; ++i) {
        sum[i] = -factor * args.zero_point * args.column_terms.weight_sum[channel + i];
        scale[i] = args.scale * args.column_terms.scale[channel + i] * args.quantize.inverse_scale / static_cast<float>(factor);
        constant[i] = args.column_terms.bias[channel + i] * args.quantize.inverse_scale;
      }
      for (int part = 0; part < kParts; ++part) {
        start[part] = Vector::strided(sum + part * 4);
        multiplier[part] = Vector::as_float(Vector::strided(scale + part * 4));
        bias[part] = Vector::as_float(Vector::strided(constant + part * 4));
      }
      const QuantizeArgs& to = args.quantize;
      offset = Vector::set_words(static_cast<int16_t>(to.zero_point - to.quant_min - 128));
      highest = Vector::set_joined(static_cast<uint8_t>(to.quant_max - to.quant_min - 128));
      lowest = Vector::set_joined(static_cast<uint8_t>(to.quant_min + 128));
    }

    Int start[kParts];
    Float multiplier[kParts], bias[kParts];
    // As Quantizer, for numbers that fit 32 bits: what is too low or too high stays so until it is a byte. At first the lowest
    // byte stands for -128, where the packs saturate.
    Words offset;
    Joined highest, lowest;
  };

  static Int scaled(Int sum, Float multiplier, Float bias) {
    return Vector::round(Vector::fma(Vector::to_float(sum), multiplier, bias));
  }

  static Joined bytes(Words first, Words second, Joined highest, Joined lowest) {
    return Vector::add_bytes(Vector::min_bytes(Vector::bytes(first, second), highest), lowest);
  }

  template <int kIndex>
  [[gnu::always_inline]] void store_bytes(Joined bytes, uint8_t*& out, int64_t out_stride) const {
    Vector::template store_bytes<kIndex>(out + channel_, bytes, lanes_);
    out += out_stride;
  }

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
          for (int j = 0; j < kGroup; ++j) rows[j] = weight_bytes(group * kGroup + j - out_row * args_.row_step, tap);
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
