#pragma once

#include "kernels/elementwise_impl.h"
#include "kernels/kernel_table.h"
#include "kernels/row_tiles.h"

// Attention of some queries of one head. Vectors go over queries, so that softmax adds up key after key in every lane: no
// order of additions depends on how many lanes there are.

namespace octet::kernels {

/// Two vectors of queries are multiplied at a time, with as many keys as there are registers for.
template <class Simd>
constexpr int64_t kTileQueries = 2 * Simd::kLanes;
template <class Simd>
constexpr int kTileRows = Simd::kLanes == 16 ? 12 : 6;  // AVX-512 has 32 registers
template <class Simd>
constexpr int kQueryRows = kTileRows<Simd> < kTileQueries<Simd> ? kTileRows<Simd> : static_cast<int>(kTileQueries<Simd>);

/// scores[key][query] = Σ_d queries[d][query] * keys[key][d]
template <class Simd, int Keys>
[[gnu::noinline]] void scores_accumulate_tile(const float* queries, const float* keys, int64_t dim, float* scores) {
  typename Simd::Float sums[Keys][2];
#pragma GCC unroll 16
  for (int k = 0; k < Keys; ++k) sums[k][0] = sums[k][1] = Simd::set(0.0f);
  int64_t stride = dim;
  for (int64_t d = 0; d < dim; ++d, queries += kAttentionQueries, ++keys) {
    asm("" : "+r"(stride));  // else the compiler makes a pointer for each key, for which there are too few registers
    const auto first = Simd::load(queries, AllLanes{}), second = Simd::load(queries + Simd::kLanes, AllLanes{});
#pragma GCC unroll 16
    for (int k = 0; k < Keys; ++k) {
      const auto key = Simd::set(keys[k * stride]);
      sums[k][0] = Simd::fma(key, first, sums[k][0]);
      sums[k][1] = Simd::fma(key, second, sums[k][1]);
    }
  }
#pragma GCC unroll 16
  for (int k = 0; k < Keys; ++k) {
    Simd::store(scores + k * kTileQueries<Simd>, sums[k][0], AllLanes{});
    Simd::store(scores + k * kTileQueries<Simd> + Simd::kLanes, sums[k][1], AllLanes{});
  }
}

/// sums[query][d] = Σ_key weights[key][query] * values[key][d], of Queries queries and Vectors vectors of d.
template <class Simd, int Queries, int Vectors>
[[gnu::noinline]] void values_accumulate_tile(const float* weights, const float* values, int64_t keys, int64_t stride,
                                              float* out) {
  typename Simd::Float sums[Queries][Vectors];
#pragma GCC unroll 16
  for (int q = 0; q < Queries; ++q) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sums[q][v] = Simd::set(0.0f);
  }
  for (int64_t key = 0; key < keys; ++key, weights += kTileQueries<Simd>, values += stride) {
    typename Simd::Float value[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) value[v] = Simd::load(values + v * Simd::kLanes, AllLanes{});
#pragma GCC unroll 16
    for (int q = 0; q < Queries; ++q) {
      const auto weight = Simd::set(weights[q]);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sums[q][v] = Simd::fma(weight, value[v], sums[q][v]);
    }
  }
#pragma GCC unroll 16
  for (int q = 0; q < Queries; ++q) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) Simd::store(out + (q * Vectors + v) * Simd::kLanes, sums[q][v], AllLanes{});
  }
}

/// Turns scores into e^(score - highest score), and gives their sum: of one vector of queries.
template <class Simd>
typename Simd::Float exponentiate(float* scores, int64_t keys) {
  auto highest = Simd::load(scores, AllLanes{});
  for (int64_t key = 1; key < keys; ++key) {
    highest = Simd::max(highest, Simd::load(scores + key * kTileQueries<Simd>, AllLanes{}));
  }
  auto sum = Simd::set(0.0f);
  for (int64_t key = 0; key < keys; ++key) {
    float* const score = scores + key * kTileQueries<Simd>;
    const auto difference = Simd::sub(Simd::load(score, AllLanes{}), highest);
    const auto e = exp<Simd>(Simd::max(Simd::set(-105.0f), difference));  // gives the difference if that is NaN
    Simd::store(score, e, AllLanes{});
    sum = Simd::add(sum, e);
  }
  return sum;
}

template <class Simd>
void attention_block(const AttentionArgs& args) {
  constexpr int64_t kLanes = Simd::kLanes, kQueries = kTileQueries<Simd>;
  for (int64_t first = 0; first < args.queries; first += kQueries) {
    const int64_t queries = args.queries - first < kQueries ? args.queries - first : kQueries;
    for_each_row_tile<kTileRows<Simd>>(args.keys, [&]<int Keys>(int64_t key) {
      scores_accumulate_tile<Simd, Keys>(args.q + first, args.k + key * args.dim, args.dim, args.scores + key * kQueries);
    });
    if (args.bias) {
      for (int64_t key = 0; key < args.keys; ++key) {
        for (int64_t query = 0; query < queries; ++query) {
          args.scores[key * kQueries + query] += args.bias[(first + query) * args.bias_query_stride + key * args.bias_key_stride];
        }
      }
    }
    float sums[kQueries];
    for (int64_t vector = 0; vector < 2; ++vector) {
      Simd::store(sums + vector * kLanes, exponentiate<Simd>(args.scores + vector * kLanes, args.keys), AllLanes{});
    }
    for (int64_t d = 0; d < args.value_dim; d += 2 * kLanes) {
      const int64_t vectors = args.value_dim - d > kLanes ? 2 : 1;
      for_each_row_tile<kQueryRows<Simd>>(queries, [&]<int Queries>(int64_t query) {
        float tile[Queries * 2 * Simd::kLanes];
        const auto multiply = vectors == 1 ? values_accumulate_tile<Simd, Queries, 1> : values_accumulate_tile<Simd, Queries, 2>;
        multiply(args.scores + query, args.v + d, args.keys, args.v_stride, tile);
        for (int64_t row = 0; row < Queries; ++row) {
          const auto sum = Simd::set(sums[query + row]);
          float* const out = args.out + (first + query + row) * args.out_stride + d;
          const int64_t columns = args.value_dim - d < vectors * kLanes ? args.value_dim - d : vectors * kLanes;
          for_each_vector<Simd>(columns, [&](int64_t i, auto lanes) {
            const auto total = Simd::load(tile + row * vectors * kLanes + i, AllLanes{});
            Simd::store(out + i, Simd::div(total, sum), lanes);
          });
        }
      });
    }
  }
}

}  // namespace octet::kernels
