#pragma once

#include <octet/kernels/parallel.h>

#include <cstdint>

namespace octet::kernels {

/// Numbers [batch][heads][rows][columns] in any order, but that columns lie side by side.
template <class T>
struct Heads {
  T* data = nullptr;
  int64_t batch_stride = 0;
  int64_t head_stride = 0;
  int64_t row_stride = 0;
};

struct AttentionSizes {
  int64_t batch;
  int64_t heads;
  int64_t queries;
  int64_t keys;       ///< at least 1
  int64_t dim;        ///< columns of queries and keys
  int64_t value_dim;  ///< columns of values and results
};

/// What is added to the scores, [batch][heads][queries][keys]; strides of zero broadcast.
struct AttentionBias {
  const float* data = nullptr;  ///< null: nothing
  int64_t batch_stride = 0;
  int64_t head_stride = 0;
  int64_t query_stride = 0;
  int64_t key_stride = 0;
};

/// softmax(scale q kᵀ + bias) v of each head, in float32. For each query
///   s_k = Σ_d fma(q_d * scale, key_k[d], ...) + bias_k,  e_k = exp(max(s_k - max(s), -105)),
///   out = Σ_k fma(e_k, value_k, ...) / Σ_k e_k
/// where every sum begins at 0 and goes through its terms in order, and exp is the polynomial that sigmoid has. So results depend
/// neither on the ISA nor on what other queries there are. A bias of -infinity leaves a key out; if all are left out, and where
/// there is a NaN, results are NaN.
/// @throws std::invalid_argument where there are no keys
void attention(const AttentionSizes& sizes, const Heads<const float>& q, const Heads<const float>& k, const Heads<const float>& v,
               const AttentionBias& bias, float scale, const Heads<float>& out, ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
