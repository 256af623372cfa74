#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"
#include "kernels/word_product.h"

// What an ISA offers for convolutions by Winograd's algorithm, F(m x m, 3x3) for m of 2 and 4: tiles of m x m outputs, made of
// (m + 2) x (m + 2) positions that are multiplied each for itself. All of it is exact integer arithmetic; docs/arithmetic.md has
// the matrices and the proof. Weights stay as they are packed and are transformed for each block of tiles that they meet, so
// that they take no more memory than other convolutions' and come from it as fast. Taps along the depth are more channels: a
// transform takes those of one of them.
//
// Of each four channels (a quad), the even and the odd ones make pairs of 16-bit integers, as bytes are widened fastest that way.

namespace octet::kernels {

struct WinogradWeightArgs {
  const int8_t* panel;  ///< from the first quad on: [taps 3x3][quads of all channels][kColumns][4]
  int64_t tap_bytes;    ///< from one tap to the next
  int64_t quads;        ///< that are transformed, kWinogradQuads at most
  int part;             ///< which two rows of positions
  int16_t* out;  ///< [2][positions of a row][kWinogradWeightStride], each [quads][even, odd][kColumns][2]; aligned to 64 bytes
};
constexpr int64_t kWinogradQuads = 16;
/// A constant, which takes no instructions. Positions that lie a power of two apart would compete for the same lines of the first
/// cache.
constexpr int64_t kWinogradWeightStride = kWinogradQuads * 4 * kColumns + 32;

/// The rows of positions that a part of the weight's transform gives, as they have the most in common: the first and the last,
/// and then those with the next two, and so on.
[[gnu::always_inline]] constexpr int winograd_row(int rows, int part, int which) {
  if (part == 0) return which == 0 ? 0 : rows - 1;
  return 2 * part - 1 + which;
}

/// Tiles of m - 1 rows or columns have the positions of larger ones but the last but one, of which nothing is read or written: they
/// share the weights. Only of F(4x4, 3x3).
struct WinogradTile {
  bool fewer_rows = false, fewer_columns = false;
};

struct WinogradInputArgs {
  const uint8_t* const* pixels;  ///< [positions]: the tile's inputs
  int64_t channels;              ///< a multiple of 4, and kWinogradChannels at least
  int16_t* out;                  ///< [positions][even, odd][channels / 2]
  int64_t position_stride;
  WinogradTile tile;
};
constexpr int64_t kWinogradChannels = 16;

struct WinogradOutputArgs {
  const int32_t* sums;  ///< [positions][kColumns] of one tile
  int64_t position_stride;
  int32_t* out;        ///< [m][m][kColumns], aligned to 64 bytes; or fewer
  int64_t row_stride;  ///< from one row of outputs to the next
  WinogradTile tile;
  bool add;            ///< to what the outputs are
};

struct WinogradTransforms {
  void (*weight)(const WinogradWeightArgs& args);
  void (*input)(const WinogradInputArgs& args);
  void (*output)(const WinogradOutputArgs& args);
};

/// Measured times, in products of the ISA's direct kernel.
struct WinogradCosts {
  double product;  ///< of a position, a channel and a column
  double weight;   ///< for each position of a channel and a column
  double input;    ///< for each position of a tile and a channel
  double output;   ///< for each position of a tile and a column
};

struct WinogradKernels {
  WinogradTransforms of_2x2, of_4x4;
  void (*multiply)(const WordProductArgs& args);  ///< inputs are rows, one for each tile
  void (*requantize)(const RequantizeSumsArgs& args);
  WinogradCosts costs;
};

extern const WinogradKernels avx2_winograd_kernels;
extern const WinogradKernels avx512_vnni_winograd_kernels;

}  // namespace octet::kernels
