#pragma once

#include <cstdint>

namespace octet::kernels {

/// Calls `tile.operator()<rows>(first_row)` with the number of rows as a constant. Like the others here, it belongs to the file
/// of the `tile`.
template <int kMostRows, class Tile>
void call_row_tile(int64_t rows, int64_t first_row, const Tile& tile) {
  if constexpr (kMostRows > 1) {
    if (rows < kMostRows) return call_row_tile<kMostRows - 1>(rows, first_row, tile);
  }
  tile.template operator()<kMostRows>(first_row);
}

/// Cuts rows into tiles of at most kMostRows, as even as can be, and calls `tiles.operator()<rows>(first_row, count)` for those
/// of each height, of which there are two at most.
template <int kMostRows, class Tiles>
void for_each_tile_height(int64_t rows, const Tiles& tiles) {
  if (rows == 0) return;
  if (rows <= kMostRows) {  // without a division
    return call_row_tile<kMostRows>(rows, 0, [&]<int kRows>(int64_t row) { tiles.template operator()<kRows>(row, 1); });
  }
  const int64_t count = (rows + kMostRows - 1) / kMostRows;
  const int64_t height = rows / count, higher = rows % count, lower = count - higher;
  call_row_tile<kMostRows>(height, 0, [&]<int kRows>(int64_t row) { tiles.template operator()<kRows>(row, lower); });
  if (higher == 0) return;
  call_row_tile<kMostRows>(height + 1, lower * height,
                           [&]<int kRows>(int64_t row) { tiles.template operator()<kRows>(row, higher); });
}

/// Cuts them likewise, and calls `tile.operator()<rows>(first_row)` for each tile.
template <int kMostRows, class Tile>
void for_each_row_tile(int64_t rows, const Tile& tile) {
  for_each_tile_height<kMostRows>(rows, [&]<int kRows>(int64_t row, int64_t count) {
    for (; count > 0; --count, row += kRows) tile.template operator()<kRows>(row);
  });
}

}  // namespace octet::kernels
