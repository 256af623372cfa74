#pragma once

#include <cstdint>

namespace octet::kernels {

/// Calls `tile.operator()<rows>(first_row)` with the number of rows as a constant. Like for_each_row_tile, it belongs to the file
/// of the `tile`.
template <int kMostRows, class Tile>
void call_row_tile(int64_t rows, int64_t first_row, const Tile& tile) {
  if constexpr (kMostRows > 1) {
    if (rows < kMostRows) return call_row_tile<kMostRows - 1>(rows, first_row, tile);
  }
  tile.template operator()<kMostRows>(first_row);
}

/// Cuts rows into tiles of at most kMostRows, as even as can be, and calls `tile.operator()<rows>(first_row)` for each.
template <int kMostRows, class Tile>
void for_each_row_tile(int64_t rows, const Tile& tile) {
  int64_t row = 0;
  for (int64_t left = (rows + kMostRows - 1) / kMostRows; left > 0; --left) {
    const int64_t height = (rows - row) / left;
    call_row_tile<kMostRows>(height, row, tile);
    row += height;
  }
}

}  // namespace octet::kernels
