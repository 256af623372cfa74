#pragma once

#include <cstdint>

#include "kernels/simd_lanes.h"

namespace octet::kernels {

/// Calls `emit(i, fma(q[i], scale, bias), lanes)` for each vector.
template <class Simd, class Emit>
void for_each_embedding_vector(const uint8_t* q, int64_t n, float scale, float bias, const Emit& emit) {
  for_each_vector<Simd>(n, [&](int64_t i, auto lanes) {
    emit(i, Simd::fma(Simd::to_float(Simd::load(q + i, lanes)), Simd::set(scale), Simd::set(bias)), lanes);
  });
}

template <class Simd>
void embedding_copy(const uint8_t* q, int64_t n, float scale, float bias, float* out) {
  for_each_embedding_vector<Simd>(q, n, scale, bias,
                                  [&](int64_t i, typename Simd::Float value, auto lanes) { Simd::store(out + i, value, lanes); });
}

template <class Simd>
void embedding_add(const uint8_t* q, int64_t n, float scale, float bias, float weight, float* out) {
  for_each_embedding_vector<Simd>(q, n, scale, bias, [&](int64_t i, typename Simd::Float value, auto lanes) {
    Simd::store(out + i, Simd::fma(Simd::set(weight), value, Simd::load(out + i, lanes)), lanes);
  });
}

template <class Simd>
void embedding_max(const uint8_t* q, int64_t n, float scale, float bias, float* out) {
  for_each_embedding_vector<Simd>(q, n, scale, bias, [&](int64_t i, typename Simd::Float value, auto lanes) {
    Simd::store(out + i, Simd::max(Simd::load(out + i, lanes), value), lanes);
  });
}

}  // namespace octet::kernels
