#pragma once

#include "kernels/kernel_table.h"
#include "kernels/row_tiles.h"
#include "kernels/word_product.h"

namespace octet::kernels {

/// All positions, by tiles of at most kMostRows rows: calls `tile.operator()<rows>(rows_of_words, weight, sums)`. Like
/// for_each_row_tile, it belongs to the file of the `tile`.
template <int kMostRows, class Tile>
void multiply_words(const WordProductArgs& args, const Tile& tile) {
  for (int64_t position = 0; position < args.positions; ++position) {
    const int16_t* const words = args.rows_of_words + position * args.position_stride;
    const int16_t* const weight = args.weight + position * args.weight_position_stride;
    const auto [begin, end] = args.rows[position];
    int32_t* const sums = args.sums + position * args.sums_position_stride + begin * kColumns;
    for_each_row_tile<kMostRows>(end - begin, [&]<int Rows>(int64_t row) {
      tile.template operator()<Rows>(words + (begin + row) * args.row_stride, weight, sums + row * kColumns);
    });
  }
}

}  // namespace octet::kernels
