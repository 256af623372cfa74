#include <octet/kernels/attention.h>

#include <algorithm>

#include "kernels/aligned_array.h"
#include "kernels/check.h"
#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

/// A thread takes that many queries of a head or more, so that copying the head's keys and values does not count.
constexpr int64_t kQueriesOfPart = 4 * kAttentionQueries;

struct Scratch {
  AlignedScratch<float> keys, values, queries, scores;
};

const float* head_of(const Heads<const float>& x, int64_t batch, int64_t head) {
  return x.data + batch * x.batch_stride + head * x.head_stride;
}

/// A head's rows next to each other: far apart they would compete for the same lines of the cache.
void copy_rows(const float* x, int64_t row_stride, int64_t rows, int64_t columns, int64_t stride, float* out) {
  for (int64_t row = 0; row < rows; ++row) std::copy_n(x + row * row_stride, columns, out + row * stride);
}

void scale_and_transpose(const float* q, int64_t row_stride, int64_t rows, int64_t columns, float scale, float* out) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t d = 0; d < columns; ++d) out[d * kAttentionQueries + row] = q[row * row_stride + d] * scale;
  }
}

}  // namespace

void attention(const AttentionSizes& sizes, const Heads<const float>& q, const Heads<const float>& k, const Heads<const float>& v,
               const AttentionBias& bias, float scale, const Heads<float>& out, ParallelFor parallel_for) {
  check(sizes.keys > 0, "attention: there are no keys");
  const KernelTable& table = kernels();
  const int64_t dim = sizes.dim, keys = sizes.keys, v_stride = ceil_div(sizes.value_dim, kColumns) * kColumns;
  const int64_t parts = ceil_div(sizes.queries, kQueriesOfPart), items = sizes.batch * sizes.heads * parts;
  const int64_t macs = std::min(sizes.queries, kQueriesOfPart) * keys * (dim + sizes.value_dim);
  parallel_for(0, items, items_per_task(kMacsPerTask, macs), [&](int64_t begin, int64_t end) {
    thread_local Scratch scratch;
    float* const head_keys = scratch.keys.reserve(keys * dim);
    float* const head_values = scratch.values.reserve(keys * v_stride);
    float* const queries = scratch.queries.reserve(dim * kAttentionQueries);
    float* const scores = scratch.scores.reserve(keys * kAttentionQueries);
    for (int64_t item = begin; item < end; ++item) {
      const int64_t batch = item / parts / sizes.heads, head = item / parts % sizes.heads, part = item % parts;
      if (item == begin || part == 0) {
        copy_rows(head_of(k, batch, head), k.row_stride, keys, dim, dim, head_keys);
        copy_rows(head_of(v, batch, head), v.row_stride, keys, sizes.value_dim, v_stride, head_values);
      }
      const int64_t last = std::min(sizes.queries, (part + 1) * kQueriesOfPart);
      for (int64_t first = part * kQueriesOfPart; first < last; first += kAttentionQueries) {
        const int64_t count = std::min(last - first, kAttentionQueries);
        scale_and_transpose(head_of(q, batch, head) + first * q.row_stride, q.row_stride, count, dim, scale, queries);
        const float* const head_bias =
            bias.data ? bias.data + batch * bias.batch_stride + head * bias.head_stride + first * bias.query_stride : nullptr;
        table.attention_block({.q = queries,
                               .queries = count,
                               .k = head_keys,
                               .v = head_values,
                               .v_stride = v_stride,
                               .keys = keys,
                               .dim = dim,
                               .value_dim = sizes.value_dim,
                               .bias = head_bias,
                               .bias_query_stride = bias.query_stride,
                               .bias_key_stride = bias.key_stride,
                               .scores = scores,
                               .out = out.data + batch * out.batch_stride + head * out.head_stride + first * out.row_stride,
                               .out_stride = out.row_stride});
      }
    }
  });
}

}  // namespace octet::kernels
