#pragma once

#include <octet/kernels/matrix.h>
#include <octet/kernels/parallel.h>

#include <cstdint>

namespace octet::kernels {

/// A table of embedding vectors of unsigned 8-, 4- or 2-bit integers, which stand for `fma(q, scale, bias)` with a
/// scale and a bias (the value of q = 0) for each row. Narrow integers fill a byte from its low bits on; a row starts
/// at a byte.
struct EmbeddingTable {
  Matrix<const uint8_t> q;  ///< [rows][row_bytes(dimension, bits)]
  int64_t rows = 0;
  int64_t dimension = 0;
  int bits = 8;                  ///< 8, 4 or 2
  const float* scale = nullptr;  ///< [rows]
  const float* bias = nullptr;   ///< [rows]

  static constexpr int64_t row_bytes(int64_t dimension, int bits) { return (dimension * bits + 7) / 8; }
};

/// The rows that `indices` name. @param out  [count][dimension]
/// @throws std::invalid_argument that names the first index out of range, its position and the number of rows
void embedding(const EmbeddingTable& table, const int64_t* indices, int64_t count, Matrix<float> out,
               ParallelFor parallel_for = serial_for);

enum class BagMode : uint8_t { sum, mean, max };

/// Which rows make up which bag.
struct Bags {
  const int64_t* indices = nullptr;  ///< [index_count]
  int64_t index_count = 0;
  /// [count]: where each bag starts, not decreasing, the first 0; the last bag ends at index_count.
  const int64_t* offsets = nullptr;
  int64_t count = 0;
  const float* per_sample_weights = nullptr;  ///< [index_count], or null for ones; with BagMode::sum alone
  int64_t padding_idx = -1;                   ///< rows of this index are left out of the reduction; -1: none
};

/// Sum, mean or elementwise maximum over the rows of each bag, in the order of its indices: a sum takes
/// `fma(weight, value, sum)` for each row from zero on, a mean divides that by the number of rows. Empty bags give
/// zeros.
/// @param out  [bags.count][dimension]
/// @throws std::invalid_argument as embedding(), for offsets that are out of order or range, and for weights with
/// another mode
void embedding_bag(const EmbeddingTable& table, const Bags& bags, BagMode mode, Matrix<float> out,
                   ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
