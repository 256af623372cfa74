#pragma once

#include "kernels/kernel_table.h"
#include "kernels/row_tiles.h"
#include "kernels/word_product.h"

namespace octet::kernels {

/// All positions, by tiles of at most kMostRows rows: calls `tiles.operator()<rows>(rows_of_words, weight, count, sums)`. Like
/// for_each_tile_height, it belongs to the file of the `tiles`.
template <int kMostRows, class Tiles>
void multiply_words(const WordProductArgs& args, const Tiles& tiles) {
  for (int64_t position = 0; position < args.positions; ++position) {
    const int16_t* const words = args.rows_of_words + position * args.position_stride;
    const int16_t* const weight = args.weight + position * args.weight_position_stride;
    const auto [begin, end] = args.rows[position];
    int32_t* const sums = args.sums + position * args.sums_position_stride + begin * kColumns;
    for_each_tile_height<kMostRows>(end - begin, [&]<int kRows>(int64_t row, int64_t count) {
      tiles.template operator()<kRows>(words + (begin + row) * args.row_stride, weight, count, sums + row * kColumns);
    });
  }
}

}  // namespace octet::kernels
