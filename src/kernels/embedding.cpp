#include <octet/kernels/embedding.h>

#include <algorithm>

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

const EmbeddingKernels& kernels_of(const KernelTable& kernel, const EmbeddingTable& table) {
  return table.bits == 8 ? kernel.embedding_of_8_bits : table.bits == 4 ? kernel.embedding_of_4_bits : kernel.embedding_of_2_bits;
}

EmbeddingRow row_of(const EmbeddingTable& table, int64_t row) {
  return {table.q.row(row), table.dimension, table.scale[row], table.bias[row]};
}

/// Asks for a row that will be needed soon: rows lie anywhere in the table, so the processor cannot foresee them.
void prefetch(const EmbeddingTable& table, const int64_t* indices, int64_t i, int64_t end) {
  constexpr int64_t kAhead = 8, kCacheLine = 64;
  if (i + kAhead >= end) return;
  const int64_t row = indices[i + kAhead], bytes = EmbeddingTable::row_bytes(table.dimension, table.bits);
  for (int64_t at = 0; at < bytes; at += kCacheLine) __builtin_prefetch(table.q.row(row) + at);
  __builtin_prefetch(table.scale + row);
  __builtin_prefetch(table.bias + row);
}

void reduce_bag(const EmbeddingKernels& kernel, const EmbeddingTable& table, const Bags& bags, int64_t bag, BagMode mode,
                float* out) {
  const int64_t end = bag + 1 < bags.count ? bags.offsets[bag + 1] : bags.index_count;
  int64_t used = 0;
  std::fill_n(out, table.dimension, 0.0f);
  for (int64_t i = bags.offsets[bag]; i < end; ++i) {
    prefetch(table, bags.indices, i, bags.index_count);
    if (bags.indices[i] == bags.padding_idx) continue;
    const EmbeddingRow row = row_of(table, bags.indices[i]);
    if (mode != BagMode::max) {
      kernel.add(row, bags.per_sample_weights ? bags.per_sample_weights[i] : 1.0f, out);
    } else if (used == 0) {
      kernel.copy(row, out);
    } else {
      kernel.max(row, out);
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
  const EmbeddingKernels& kernel = kernels_of(kernels(), table);
  parallel_for(0, count, rows_per_task(table.dimension), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      prefetch(table, indices, i, end);
      kernel.copy(row_of(table, indices[i]), out.row(i));
    }
  });
}

void embedding_bag(const EmbeddingTable& table, const Bags& bags, BagMode mode, Matrix<float> out, ParallelFor parallel_for) {
  check_table(table);
  check_bags(bags, mode);
  check_indices(table, bags.indices, bags.index_count);
  const EmbeddingKernels& kernel = kernels_of(kernels(), table);
  const int64_t mean_bag_size = bags.index_count / std::max<int64_t>(bags.count, 1) + 1;
  parallel_for(0, bags.count, rows_per_task(table.dimension * mean_bag_size), [&](int64_t begin, int64_t end) {
    for (int64_t bag = begin; bag < end; ++bag) reduce_bag(kernel, table, bags, bag, mode, out.row(bag));
  });
}

}  // namespace octet::kernels
