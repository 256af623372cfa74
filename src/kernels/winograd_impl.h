#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/winograd_kernels.h"

// The transforms, for vectors of any size. `Isa` is a type of the file that uses them, so that no code is shared between files
// with different flags. Arithmetic is that of unsigned integers, modulo 2^16 or 2^32: docs/arithmetic.md says why that is enough.

namespace octet::kernels {

template <class Isa, int kBytes>
struct WinogradVector {
  using Word [[gnu::vector_size(kBytes)]] = uint16_t;
  using SignedWord [[gnu::vector_size(kBytes)]] = int16_t;
  using Int [[gnu::vector_size(kBytes)]] = uint32_t;
  using SignedInt [[gnu::vector_size(kBytes)]] = int32_t;

  template <class Vector>
  [[gnu::always_inline]] static Vector load(const void* p) {
    Vector v;
    memcpy(&v, p, sizeof(v));
    return v;
  }
  template <class Vector>
  [[gnu::always_inline]] static void store(void* p, Vector v) {
    memcpy(p, &v, sizeof(v));
  }
};

/// One dimension of F(m, 3). The weight's matrix is scaled to integers; `shift(i)` says what of it the outputs keep: output i
/// comes out times `kNinths ? 3 * 2^shift(i) : 2^shift(i)`.
template <int kOutputs>
struct WinogradMatrices;

template <>
struct WinogradMatrices<2> {
  static constexpr bool kNinths = false;
  [[gnu::always_inline]] static constexpr int shift(int) { return 1; }

  /// The first row and the last are w0 and w2, times that.
  static constexpr int kOuterFactor = 2;
  /// Rows winograd_row(4, 1, 0) and (4, 1, 1).
  template <int kPart, class V>
  [[gnu::always_inline]] static void weight(V w0, V w1, V w2, V& first, V& second) {
    const V outer = w0 + w2;
    first = outer + w1;
    second = outer - w1;
  }
  template <class V>
  [[gnu::always_inline]] static void input(V* d, int step) {
    const V d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
    d[0] = d0 - d2;
    d[step] = d1 + d2;
    d[2 * step] = d2 - d1;
    d[3 * step] = d1 - d3;
  }
  template <class V>
  [[gnu::always_inline]] static void output(const V* m, int step, V* out, int out_step) {
    out[0] = m[0] + m[step] + m[2 * step];
    out[out_step] = m[step] - m[2 * step] - m[3 * step];
  }
};

template <>
struct WinogradMatrices<4> {
  static constexpr bool kNinths = true;
  [[gnu::always_inline]] static constexpr int shift(int i) { return i == 0 ? 3 : i == 1 ? 2 : 1; }

  static constexpr int kOuterFactor = 6;
  template <int kPart, class V>
  [[gnu::always_inline]] static void weight(V w0, V w1, V w2, V& first, V& second) {
    const V outer = kPart == 1 ? w0 + w2 : w0 + (w2 << 2), middle = kPart == 1 ? w1 : w1 + w1;
    first = outer + middle;
    second = outer - middle;
  }
  template <class V>
  [[gnu::always_inline]] static void input(V* d, int step) {
    const V d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    const V a = d4 - (d2 << 2), b = d3 - (d1 << 2), c = d4 - d2, twice = d3 - d1, e = twice + twice;
    d[0] = ((d0 - d2) << 2) - d2 + d4;
    d[step] = a + b;
    d[2 * step] = a - b;
    d[3 * step] = c + e;
    d[4 * step] = c - e;
    d[5 * step] = ((d1 - d3) << 2) - d3 + d5;
  }
  template <class V>
  [[gnu::always_inline]] static void output(const V* m, int step, V* out, int out_step) {
    const V s1 = m[step] + m[2 * step], d1 = m[step] - m[2 * step];
    const V s2 = m[3 * step] + m[4 * step], d2 = m[3 * step] - m[4 * step];
    out[0] = m[0] - (s1 << 2) + s2;
    out[out_step] = d2 - d1 - d1;
    out[2 * out_step] = s2 - s1;
    out[3 * out_step] = d2 + d2 - d1 + m[5 * step];
  }
};

/// The same dimension of a tile with one output less, for the points of F(4, 3) but the last but one; the weight's matrix is F(4, 3)'s.
template <>
struct WinogradMatrices<3> {
  [[gnu::always_inline]] static constexpr int shift(int i) { return i == 0 ? 2 : 1; }

  template <class V>
  [[gnu::always_inline]] static void input(V* d, int step) {
    const V d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
    const V twice_d1 = d1 + d1, a = d3 - d2, b = d3 - d1;
    d[0] = d0 + d0 - d1 - d2 + a;
    d[step] = a - twice_d1;
    d[2 * step] = a + twice_d1 - d2 - d2;
    d[3 * step] = b;
    d[5 * step] = d4 - d2 - b - b;
  }
  template <class V>
  [[gnu::always_inline]] static void output(const V* m, int step, V* out, int out_step) {
    const V m1 = m[step], m2 = m[2 * step], twice_m3 = m[3 * step] + m[3 * step], thrice_m1 = m1 + m1 + m1;
    out[0] = m[0] + ((m[3 * step] - thrice_m1 - m2) << 1);
    out[out_step] = m2 - thrice_m1 + twice_m3;
    out[2 * out_step] = twice_m3 + twice_m3 - thrice_m1 - m2 + m[5 * step];
  }
};

template <class Isa, int kOutputs>
struct Winograd {
  using Matrices = WinogradMatrices<kOutputs>;
  static constexpr int kSide = kOutputs + 2, kPositions = kSide * kSide;

  static void transform_weight(const WinogradWeightArgs& args) {
    switch (args.part) {
      case 0:
        return transform_weight_part<0>(args);
      case 1:
        return transform_weight_part<1>(args);
      default:
        return transform_weight_part<kSide / 2 - 1>(args);
    }
  }

  static void transform_input(const WinogradInputArgs& args) {
    for_tile(args.tile, [&]<int kRows, int kTileColumns>() {
      int64_t channel = 0;
      steps<kRows, kTileColumns, Isa::kBytes>(args, channel);
    });
  }

  static void transform_output(const WinogradOutputArgs& args) {
    for_tile(args.tile, [&]<int kRows, int kTileColumns>() {
      args.add ? transform_sums<kRows, kTileColumns, true>(args) : transform_sums<kRows, kTileColumns, false>(args);
    });
  }

  static constexpr WinogradTransforms transforms{transform_weight, transform_input, transform_output};

 private:
  static constexpr uint32_t kInverseOfNine = 0x38E3'8E39;  ///< modulo 2^32

  /// Calls `transform.operator()<rows, columns>()` with the outputs of the tile.
  template <class Transform>
  static void for_tile(const WinogradTile& tile, const Transform& transform) {
    if constexpr (kOutputs == 4) {
      if (tile.fewer_rows) {
        return tile.fewer_columns ? transform.template operator()<3, 3>() : transform.template operator()<3, 4>();
      }
      if (tile.fewer_columns) return transform.template operator()<4, 3>();
    }
    transform.template operator()<kOutputs, kOutputs>();
  }

  /// Whether a dimension of a tile with so many outputs has the position.
  [[gnu::always_inline]] static constexpr bool has(int outputs, int position) {
    return outputs == kOutputs || position != kSide - 2;
  }

  template <int kRows, int kTileColumns, bool kAdd>
  static void transform_sums(const WinogradOutputArgs& args) {
    using Vector = WinogradVector<Isa, Isa::kBytes>;
    using Int = typename Vector::Int;
    using OfRows = WinogradMatrices<kRows>;
    using OfColumns = WinogradMatrices<kTileColumns>;
    constexpr int kLanes = Isa::kBytes / 4;
    for (int64_t column = 0; column < kColumns; column += kLanes) {
      Int half[kRows * kSide];
#pragma GCC unroll 6
      for (int j = 0; j < kSide; ++j) {
        if (!has(kTileColumns, j)) continue;
        Int m[kSide];
#pragma GCC unroll 6
        for (int i = 0; i < kSide; ++i) {
          if (has(kRows, i)) m[i] = Vector::template load<Int>(args.sums + (i * kSide + j) * args.position_stride + column);
        }
        OfRows::output(m, 1, half + j, kSide);
      }
#pragma GCC unroll 4
      for (int i = 0; i < kRows; ++i) {
        Int out[kTileColumns];
        OfColumns::output(half + i * kSide, 1, out, 1);
#pragma GCC unroll 4
        for (int j = 0; j < kTileColumns; ++j) {
          Int y = out[j];
          if (Matrices::kNinths) y *= kInverseOfNine;
          auto sum = reinterpret_cast<typename Vector::SignedInt>(y) >> (OfRows::shift(i) + OfColumns::shift(j));
          int32_t* const to = args.out + i * args.row_stride + j * kColumns + column;
          if (kAdd) sum += Vector::template load<typename Vector::SignedInt>(to);
          Vector::store(to, sum);
        }
      }
    }
  }

  template <int kPart>
  [[gnu::noinline]] static void transform_weight_part(const WinogradWeightArgs& args) {
    using Word = typename WinogradVector<Isa, Isa::kBytes>::Word;
    constexpr uint16_t kFactor = kPart == 0 ? Matrices::kOuterFactor : 1;
    const Word even = Word{} + kFactor, odd = even << 8;
    Word outer = Word{} + static_cast<uint16_t>(Matrices::kOuterFactor);
    asm("" : "+x"(outer));  // else compilers would shift and add instead
    for (int64_t quad = 0; quad < args.quads; ++quad) {
      for (int64_t at = 0; at < 4 * kColumns; at += Isa::kBytes) {
        const int8_t* const from = args.panel + quad * 4 * kColumns + at;
        int16_t* const to = args.out + quad * 4 * kColumns + at / 2;
        transform_pairs<kPart>(from, args.tap_bytes, even, outer, to);
        transform_pairs<kPart>(from, args.tap_bytes, odd, outer, to + 2 * kColumns);
      }
    }
  }

  /// @param factors  of pairs of bytes: one of them becomes a word
  template <int kPart, class Word>
  [[gnu::always_inline]] static void transform_pairs(const int8_t* from, int64_t tap_bytes, Word factors, Word outer,
                                                     int16_t* to) {
    using Vector = WinogradVector<Isa, Isa::kBytes>;
    Word rows[2][3];
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j) {
      Word taps[3];
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) {
        taps[i] = Isa::multiply_pairs(factors, Vector::template load<Word>(from + (3 * i + j) * tap_bytes));
      }
      if constexpr (kPart == 0) {
        rows[0][j] = taps[0];
        rows[1][j] = taps[2];
      } else {
        Matrices::template weight<kPart>(taps[0], taps[1], taps[2], rows[0][j], rows[1][j]);
      }
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      Word row[kSide];
      row[0] = rows[i][0] * outer;
      row[kSide - 1] = rows[i][2] * outer;
      const auto columns = [&]<int kColumnPart>() {
        Matrices::template weight<kColumnPart>(rows[i][0], rows[i][1], rows[i][2], row[winograd_row(kSide, kColumnPart, 0)],
                                               row[winograd_row(kSide, kColumnPart, 1)]);
      };
      columns.template operator()<1>();
      columns.template operator()<kSide / 2 - 1>();
#pragma GCC unroll 6
      for (int j = 0; j < kSide; ++j) Vector::store(to + (i * kSide + j) * kWinogradWeightStride, row[j]);
    }
  }

  /// All channels from `channel` on, by vectors of kBytes; the last one may take channels once more.
  template <int kRows, int kTileColumns, int kBytes>
  [[gnu::always_inline]] static void steps(const WinogradInputArgs& args, int64_t& channel) {
    if constexpr (kBytes > kWinogradChannels) {
      if (args.channels < kBytes) return steps<kRows, kTileColumns, kBytes / 2>(args, channel);
    }
    for (; channel < args.channels; channel += kBytes) {
      const int64_t first = channel + kBytes <= args.channels ? channel : args.channels - kBytes;
      transform_channels<kRows, kTileColumns, WinogradVector<Isa, kBytes>>(args, first, /*odd=*/false);
      transform_channels<kRows, kTileColumns, WinogradVector<Isa, kBytes>>(args, first, /*odd=*/true);
    }
  }

  template <int kRows, int kTileColumns, class Vector>
  [[gnu::always_inline]] static void transform_channels(const WinogradInputArgs& args, int64_t channel, bool odd) {
    using Word = typename Vector::Word;
    Word d[kPositions];
#pragma GCC unroll 6
    for (int j = 0; j < kTileColumns + 2; ++j) {
#pragma GCC unroll 6
      for (int i = 0; i < kRows + 2; ++i) {
        const Word bytes = Vector::template load<Word>(args.pixels[i * kSide + j] + channel);
        d[i * kSide + j] = odd ? bytes >> 8 : bytes & 0xff;
      }
      WinogradMatrices<kRows>::input(d + j, kSide);
    }
    int16_t* const out = args.out + (odd ? args.channels / 2 : 0) + channel / 2;
#pragma GCC unroll 6
    for (int i = 0; i < kSide; ++i) {
      if (!has(kRows, i)) continue;
      WinogradMatrices<kTileColumns>::input(d + i * kSide, 1);
#pragma GCC unroll 6
      for (int j = 0; j < kSide; ++j) {
        if (has(kTileColumns, j)) Vector::store(out + (i * kSide + j) * args.position_stride, d[i * kSide + j]);
      }
    }
  }
};

}  // namespace octet::kernels
