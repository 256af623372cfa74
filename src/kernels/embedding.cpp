#include <octet/kernels/embedding.h>

#include <algorithm>
#include <array>

#include "kernels/check.h"
#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

void check_table(const EmbeddingTable& table) {
  check(table.bits == 8 || table.bits == 4 || table.bits == 2, "embedding: bits must be 8, 4 or 2, got ", table.bits);
}

void check_indices(const EmbeddingTable& table, const int64_t* indices, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    check(0 <= indices[i] && indices[i] < table.rows, "embedding: index ", indices[i], " at position ", i,
          " is out of range for a table of ", table.rows, " rows");
  }
}

void check_bags(const Bags& bags, BagMode mode) {
  check(!bags.per_sample_weights || mode == BagMode::sum, "embedding_bag: per_sample_weights need the mode sum");
  for (int64_t bag = 0; bag < bags.count; ++bag) {
    const int64_t offset = bags.offsets[bag];
    check(bag > 0 || offset == 0, "embedding_bag: the first offset must be 0, got ", offset);
    const int64_t previous = bag ? bags.offsets[bag - 1] : 0;
    check(previous <= offset && offset <= bags.index_count, "embedding_bag: offset ", offset, " at position ", bag,
          " must lie between the one before it, ", previous, ", and the number of indices, ", bags.index_count);
  }
}

/// Hands a row's integers to `use(q, first, count)` piece by piece, each a byte of its own.
template <class Use>
void for_each_piece(const EmbeddingTable& table, int64_t row, const Use& use) {
  const uint8_t* packed = table.q.row(row);
  if (table.bits == 8) {
    use(packed, int64_t{0}, table.dimension);
    return;
  }
  std::array<uint8_t, 256> piece;
  const int64_t per_byte = 8 / table.bits;
  const int mask = (1 << table.bits) - 1;
  for (int64_t first = 0; first < table.dimension; first += static_cast<int64_t>(piece.size())) {
    const int64_t count = std::min<int64_t>(piece.size(), table.dimension - first);
    for (int64_t i = 0; i < count; ++i) {
      piece[i] = static_cast<uint8_t>(packed[(first + i) / per_byte] >> (first + i) % per_byte * table.bits & mask);
    }
    use(piece.data(), first, count);
  }
}

void copy_row(const KernelTable& kernel, const EmbeddingTable& table, int64_t row, float* out) {
  for_each_piece(table, row, [&](const uint8_t* q, int64_t first, int64_t count) {
    kernel.embedding_copy(q, count, table.scale[row], table.bias[row], out + first);
  });
}

void reduce_bag(const KernelTable& kernel, const EmbeddingTable& table, const Bags& bags, int64_t bag, BagMode mode, float* out) {
  const int64_t end = bag + 1 < bags.count ? bags.offsets[bag + 1] : bags.index_count;
  int64_t used = 0;
  std::fill_n(out, table.dimension, 0.0f);
  for (int64_t i = bags.offsets[bag]; i < end; ++i) {
    const int64_t row = bags.indices[i];
    if (row == bags.padding_idx) continue;
    const float weight = bags.per_sample_weights ? bags.per_sample_weights[i] : 1.0f;
    if (mode == BagMode::max && used == 0) {
      copy_row(kernel, table, row, out);
    } else {
      for_each_piece(table, row, [&](const uint8_t* q, int64_t first, int64_t count) {
        if (mode == BagMode::max) {
          kernel.embedding_max(q, count, table.scale[row], table.bias[row], out + first);
        } else {
          kernel.embedding_add(q, count, table.scale[row], table.bias[row], weight, out + first);
        }
      });
    }
    ++used;
  }
  if (mode == BagMode::mean && used > 0) {
    for (int64_t i = 0; i < table.dimension; ++i) out[i] /= static_cast<float>(used);
  }
}

}  // namespace

void embedding(const EmbeddingTable& table, const int64_t* indices, int64_t count, Matrix<float> out, ParallelFor parallel_for) {
  check_table(table);
  check_indices(table, indices, count);
  const KernelTable& kernel = kernels();
  parallel_for(0, count, rows_per_task(table.dimension), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) copy_row(kernel, table, indices[i], out.row(i));
  });
}

void embedding_bag(const EmbeddingTable& table, const Bags& bags, BagMode mode, Matrix<float> out, ParallelFor parallel_for) {
  check_table(table);
  check_bags(bags, mode);
  check_indices(table, bags.indices, bags.index_count);
  const KernelTable& kernel = kernels();
  const int64_t mean_bag_size = bags.index_count / std::max<int64_t>(bags.count, 1) + 1;
  parallel_for(0, bags.count, rows_per_task(table.dimension * mean_bag_size), [&](int64_t begin, int64_t end) {
    for (int64_t bag = begin; bag < end; ++bag) reduce_bag(kernel, table, bags, bag, mode, out.row(bag));
  });
}

}  // namespace octet::kernels
