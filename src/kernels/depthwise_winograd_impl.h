#pragma once

#include "kernels/depthwise_channels_impl.h"

namespace octet::kernels {

/// Blocks of rows for 3x3 kernels of a step of 1, by Winograd's algorithm along the width, F(2, 3), on words:
///
///   twice the two outputs of a tile of four columns x = M0 + M1 + M2 and M1 - M2 + M3, where
///   M0 = (x0 - x2) 2 w0,  M1 = (x1 + x2) (w0 + w1 + w2),  M2 = (x2 - x1) (w0 - w1 + w2),  M3 = (x3 - x1) 2 w2.
///
/// These are 4 products where there were 6. |x| sums up to 510 and |w| to 384, so that dot products of pairs are exact.
template <class Vector>
class DepthwiseWinograd {
  using Channels = DepthwiseChannels<Vector>;
  using Bytes = typename Vector::Bytes;
  using Int = typename Vector::Int;
  using Sums = typename Channels::Sums;
  static constexpr int kGroup = Vector::kGroup, kParts = Vector::kParts, kHalves = Channels::kHalves;
  static constexpr int kTaps = 3, kPositions = 4;
  static constexpr int kGroups = 2;  ///< of rows that two rows of outputs meet
  static constexpr int64_t kGroupBytes = Channels::kGroupBytes, kTileBytes = kPositions * kGroupBytes;
  static_assert(kGroup * kGroups == kTaps + 1);

 public:
  static bool takes(const DepthwiseRowsArgs& args) {
    return args.taps == kTaps && args.weight_rows == kTaps && args.column_step == 1 && args.row_step == 1 &&
           args.tap_spacing == 1;
  }

  static void run(const DepthwiseRowsArgs& args, int64_t channel) {
    DepthwiseWinograd kernel(args, channel);
    const int64_t parts = (args.outputs + kMostOutputs - 1) / kMostOutputs,
                  outputs = ((args.outputs + parts - 1) / parts + 1) / 2 * 2;
    for (int64_t first = 0; first < args.outputs; first += outputs) {
      kernel.run_part(first, first + outputs < args.outputs ? outputs : args.outputs - first);
    }
  }

 private:
  /// Of a row at once, so that what is laid out of two groups of rows stays in the nearest cache.
  static constexpr int64_t kMostOutputs = 16 * 1024 / kTileBytes;

  DepthwiseWinograd(const DepthwiseRowsArgs& args, int64_t channel)
      : args_(args), channels_(args, channel, /*weight_rows=*/0, /*factor=*/2) {
    transform_weight();
  }

  /// Some outputs of all rows.
  void run_part(int64_t first, int64_t outputs) {
    const int64_t tiles = (outputs + 1) / 2;
    uint8_t* inputs[kGroups];
    for (int group = 0; group < kGroups; ++group)
      inputs[group] = channels_.scratch() + (2 * kGroups + group * tiles) * kTileBytes;
    const uint8_t* const* last_rows = nullptr;
    for (int64_t block = 0; block < args_.blocks; ++block) {
      const uint8_t* const* const rows = args_.rows + block * args_.row_slots;
      // The second group of rows that the last block has met stays, if it is the first one now.
      if (last_rows && rows[0] == last_rows[kGroup] && rows[1] == last_rows[kGroup + 1]) {
        uint8_t* const kept = inputs[1];
        inputs[1] = inputs[0];
        inputs[0] = kept;
      } else {
        lay_out_group(rows, first, tiles, inputs[0]);
      }
      lay_out_group(rows + kGroup, first, tiles, inputs[1]);
      last_rows = rows;
      for (int64_t row = 0; row < 2; ++row) {
        uint8_t* const out = args_.out[block * 2 + row];
        if (out) run_row(channels_.scratch() + row * kGroups * kTileBytes, inputs, outputs, out + first * args_.out_stride);
      }
    }
  }

  void run_row(const uint8_t* weight, uint8_t* const (&inputs)[kGroups], int64_t left, uint8_t* out) const {
    const uint8_t* from[kGroups] = {inputs[0], inputs[1]};
    uint8_t* to[1] = {out};
    for (; left >= 4; left -= 4) outputs<4>(weight, from, to);
    if (left == 3) outputs<3>(weight, from, to);
    if (left == 2) outputs<2>(weight, from, to);
    if (left == 1) outputs<1>(weight, from, to);
  }

  /// [rows of outputs][kGroups][kPositions][kGroupBytes]
  void transform_weight() const {
    uint8_t* to = channels_.scratch();
    for (int row = 0; row < 2; ++row) {
      for (int group = 0; group < kGroups; ++group, to += kTileBytes) {
        Int w[kTaps][kParts];
        for (int tap = 0; tap < kTaps; ++tap) {
          const int first = group * kGroup - row;
          const Bytes bytes[kGroup] = {channels_.weight_bytes(first, tap), channels_.weight_bytes(first + 1, tap)};
          Vector::template interleave<int8_t>(bytes, w[tap]);
        }
        for (int part = 0; part < kParts; ++part) {
          const Int outer = Vector::add_words(w[0][part], w[2][part]), inner = w[1][part];
          store(to + part * sizeof(Int), {Vector::add_words(w[0][part], w[0][part]), Vector::add_words(outer, inner),
                                          Vector::sub_words(outer, inner), Vector::add_words(w[2][part], w[2][part])});
        }
      }
    }
  }

  [[gnu::always_inline]] static void store(uint8_t* to, const Int (&positions)[kPositions]) {
#pragma GCC unroll 4
    for (int i = 0; i < kPositions; ++i) Vector::store(to + i * kGroupBytes, positions[i]);
  }

  /// [tiles][kPositions][kGroupBytes]
  void lay_out_group(const uint8_t* const* rows, int64_t first, int64_t tiles, uint8_t* to) const {
    lay_out_half<0>(rows, first, tiles, to);
    if constexpr (kHalves == 2) lay_out_half<1>(rows, first, tiles, to);
  }

  template <int kHalf>
  void lay_out_half(const uint8_t* const* rows, int64_t first, int64_t tiles, uint8_t* to) const {
    // Copies, which what is stored can't alias.
    const uint8_t* const from[kGroup] = {rows[0], rows[1]};
    const int64_t columns = args_.columns, step = args_.channels;
    const Bytes padding = channels_.padding();
    const auto lay_out_column = [&](int64_t column, Int(&parts)[kParts]) __attribute__((always_inline)) {
      const bool inside = 0 <= column && column < columns;
      Bytes bytes[kGroup];
#pragma GCC unroll 2
      for (int j = 0; j < kGroup; ++j) bytes[j] = inside ? channels_.load(from[j] + column * step) : padding;
      Vector::template interleave<uint8_t>(bytes, parts);
    };
    int64_t column = args_.first_column + first;
    Int x[4][kParts];
    lay_out_column(column++, x[0]);
    lay_out_column(column++, x[1]);
    for (int64_t tile = 0; tile < tiles; ++tile, to += kTileBytes) {
      lay_out_column(column++, x[2]);
      lay_out_column(column++, x[3]);
#pragma GCC unroll 2
      for (int part = kHalf * 2; part < kHalf * 2 + 2; ++part) {
        store(to + part * sizeof(Int), {Vector::sub_words(x[0][part], x[2][part]), Vector::add_words(x[1][part], x[2][part]),
                                        Vector::sub_words(x[2][part], x[1][part]), Vector::sub_words(x[3][part], x[1][part])});
        x[0][part] = x[2][part];
        x[1][part] = x[3][part];
      }
    }
  }

  /// Moves the pointers on.
  template <int kPixels>
  [[gnu::always_inline]] void outputs(const uint8_t* weight, const uint8_t* (&from)[kGroups], uint8_t* (&to)[1]) const {
    constexpr int kTiles = (kPixels + 1) / 2;
    typename Vector::Words words[kPixels][1][kHalves];
    half<0>(weight, from, words);
    if constexpr (kHalves == 2) half<1>(weight, from, words);
    channels_.store(words, to, args_.out_stride);
#pragma GCC unroll 2
    for (int group = 0; group < kGroups; ++group) from[group] += kTiles * kTileBytes;
  }

  /// Two parts, as there are registers for the sums of no more.
  template <int kHalf, int kPixels>
  [[gnu::always_inline]] void half(const uint8_t* weight, const uint8_t* const (&from)[kGroups],
                                   typename Vector::Words (&words)[kPixels][1][kHalves]) const {
    constexpr int kTiles = (kPixels + 1) / 2;
    Sums sums[2 * kTiles][1];  // of the pixels
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
      channels_.start(sums[2 * t][0]);
#pragma GCC unroll 2
      for (int part = kHalf * 2; part < kHalf * 2 + 2; ++part) sums[2 * t + 1][0][part] = Vector::zero();
    }
    add_products<kHalf, 1, 0>(weight, from, sums);
    add_products<kHalf, 2, 1>(weight, from, sums);
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 2
      for (int part = kHalf * 2; part < kHalf * 2 + 2; ++part) {
        Int &even = sums[2 * t][0][part], &odd = sums[2 * t + 1][0][part];
        const Int difference = Vector::sub(even, odd);
        even = Vector::add(even, odd);
        odd = difference;
      }
    }
    add_products<kHalf, 0, 0>(weight, from, sums);
    add_products<kHalf, 3, 1>(weight, from, sums);
    Sums some[kPixels][1];
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
      for (int part = kHalf * 2; part < kHalf * 2 + 2; ++part) some[p][0][part] = sums[p][0][part];
    }
    channels_.template round<kHalf, kHalf + 1>(some, words);
  }

  /// Of a position, to the sums of even or odd pixels.
  template <int kHalf, int kPosition, int kPixel, int kPixels>
  [[gnu::always_inline]] void add_products(const uint8_t* weight, const uint8_t* const (&from)[kGroups],
                                           Sums (&sums)[kPixels][1]) const {
#pragma GCC unroll 2
    for (int group = 0; group < kGroups; ++group) {
#pragma GCC unroll 2
      for (int part = kHalf * 2; part < kHalf * 2 + 2; ++part) {
        const int64_t at = kPosition * kGroupBytes + part * sizeof(Int);
        const Int weights = Vector::load(weight + group * kTileBytes + at);
#pragma GCC unroll 2
        for (int p = kPixel; p < kPixels; p += 2) {
          Vector::dot(sums[p][0][part], weights, from[group] + p / 2 * kTileBytes + at);
        }
      }
    }
  }

  const DepthwiseRowsArgs& args_;
  Channels channels_;
};

}  // namespace octet::kernels
