#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/kernel_table.h"
#include "kernels/simd_lanes.h"

namespace octet::kernels {

/// The integers i, i + 1, ... of a row that has kBits for each, the first in the lowest bits of a byte.
template <class Simd, int kBits, class Lanes>
typename Simd::Int load_integers(const uint8_t* row, int64_t i, Lanes lanes) {
  if constexpr (kBits == 8) {
    return Simd::load(row + i, lanes);
  } else if constexpr (std::is_same_v<Lanes, AllLanes> && Simd::kLanes > 1) {
    return Simd::template load_bits<kBits>(row + i * kBits / 8);
  } else {
    uint8_t integers[Simd::kLanes];
    for (int64_t l = 0; l < count<Simd>(lanes); ++l) {
      integers[l] = static_cast<uint8_t>(row[(i + l) * kBits / 8] >> (i + l) * kBits % 8 & ((1 << kBits) - 1));
    }
    return Simd::load(integers, lanes);
  }
}

/// Calls `emit(i, fma(q[i], scale, bias), lanes)` for each vector.
template <class Simd, int kBits, class Emit>
void for_each_embedding_vector(const EmbeddingRow& row, const Emit& emit) {
  for_each_vector<Simd>(row.dimension, [&](int64_t i, auto lanes) {
    const auto q = Simd::to_float(load_integers<Simd, kBits>(row.q, i, lanes));
    emit(i, Simd::fma(q, Simd::set(row.scale), Simd::set(row.bias)), lanes);
  });
}

template <class Simd, int kBits>
void embedding_copy(const EmbeddingRow& row, float* out) {
  for_each_embedding_vector<Simd, kBits>(
      row, [&](int64_t i, typename Simd::Float value, auto lanes) { Simd::store(out + i, value, lanes); });
}

template <class Simd, int kBits>
void embedding_add(const EmbeddingRow& row, float weight, float* out) {
  for_each_embedding_vector<Simd, kBits>(row, [&](int64_t i, typename Simd::Float value, auto lanes) {
    Simd::store(out + i, Simd::fma(Simd::set(weight), value, Simd::load(out + i, lanes)), lanes);
  });
}

template <class Simd, int kBits>
void embedding_max(const EmbeddingRow& row, float* out) {
  for_each_embedding_vector<Simd, kBits>(row, [&](int64_t i, typename Simd::Float value, auto lanes) {
    Simd::store(out + i, Simd::max(Simd::load(out + i, lanes), value), lanes);
  });
}

template <class Simd, int kBits>
constexpr EmbeddingKernels embedding_kernels() {
  return {embedding_copy<Simd, kBits>, embedding_add<Simd, kBits>, embedding_max<Simd, kBits>};
}

}  // namespace octet::kernels
