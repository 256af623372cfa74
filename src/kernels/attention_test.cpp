#include <octet/kernels/attention.h>

#include "kernels/elementwise_impl.h"
#include "kernels/reference.h"
#include "kernels/simd_scalar.h"
#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::bits;
using test::for_each_isa;
using test::GuardedArray;
using test::Random;
using test::random_floats;

constexpr float kInf = std::numeric_limits<float>::infinity();

/// Guarded inputs, [batch][length][heads][dim] as linear maps give them; the heads of values may be of another width.
struct Inputs {
  explicit Inputs(const AttentionSizes& sizes)
      : sizes(sizes),
        random(static_cast<uint32_t>(sizes.queries * 1000 + sizes.keys * 10 + sizes.dim)),
        q(random_floats(random, sizes.batch * sizes.queries * sizes.heads * sizes.dim, -2.0f, 2.0f)),
        k(random_floats(random, sizes.batch * sizes.keys * sizes.heads * sizes.dim, -2.0f, 2.0f)),
        v(random_floats(random, sizes.batch * sizes.keys * sizes.heads * sizes.value_dim, -2.0f, 2.0f)),
        bias(random_floats(random, sizes.batch * sizes.heads * sizes.queries * sizes.keys, -3.0f, 3.0f)) {}

  template <class T>
  Heads<T> heads(T* data, int64_t length, int64_t dim) const {
    return {data, length * sizes.heads * dim, dim, sizes.heads * dim};
  }

  AttentionBias dense_bias() const {
    return {bias.data(), sizes.heads * sizes.queries * sizes.keys, sizes.queries * sizes.keys, sizes.keys, 1};
  }

  std::vector<float> attend(const AttentionBias& added) const {
    const GuardedArray<float> out(sizes.batch * sizes.queries * sizes.heads * sizes.value_dim);
    attention(sizes, heads<const float>(q.data(), sizes.queries, sizes.dim), heads<const float>(k.data(), sizes.keys, sizes.dim),
              heads<const float>(v.data(), sizes.keys, sizes.value_dim), added, kScale,
              heads(out.data(), sizes.queries, sizes.value_dim), test::three_threads_for);
    return out.values();
  }

  /// By the formula, a query at a time.
  std::vector<float> expected(const AttentionBias& added) const {
    const auto [batches, head_count, queries, keys, dim, value_dim] = sizes;
    std::vector<float> out(batches * queries * head_count * value_dim), keys_of_head(keys * dim),
        values_of_head(keys * value_dim), bias_of_query(keys);
    for (int64_t batch = 0; batch < batches; ++batch) {
      for (int64_t head = 0; head < head_count; ++head) {
        const auto at = [&](int64_t length, int64_t row) { return (batch * length + row) * head_count + head; };
        for (int64_t key = 0; key < keys; ++key) {
          std::copy_n(k.data() + at(keys, key) * dim, dim, &keys_of_head[key * dim]);
          std::copy_n(v.data() + at(keys, key) * value_dim, value_dim, &values_of_head[key * value_dim]);
        }
        for (int64_t query = 0; query < queries; ++query) {
          for (int64_t key = 0; key < keys; ++key) {
            bias_of_query[key] = added.data ? added.data[batch * added.batch_stride + head * added.head_stride +
                                                         query * added.query_stride + key * added.key_stride]
                                            : 0.0f;
          }
          reference::attention_row(q.data() + at(queries, query) * dim, keys_of_head.data(), values_of_head.data(),
                                   bias_of_query.data(), keys, dim, value_dim, kScale, exp<ScalarSimd>,
                                   &out[at(queries, query) * value_dim]);
        }
      }
    }
    return out;
  }

  static constexpr float kScale = 0.37f;
  AttentionSizes sizes;
  Random random;
  GuardedArray<float> q, k, v, bias;
};

constexpr AttentionSizes kSizes[] = {
    {.batch = 1, .heads = 1, .queries = 1, .keys = 1, .dim = 1, .value_dim = 1},
    {.batch = 1, .heads = 2, .queries = 33, .keys = 13, .dim = 32, .value_dim = 32},
    {.batch = 2, .heads = 3, .queries = 16, .keys = 7, .dim = 5, .value_dim = 19},
    {.batch = 1, .heads = 2, .queries = 300, .keys = 25, .dim = 8, .value_dim = 65},  // parts of a head
    {.batch = 2, .heads = 1, .queries = 5, .keys = 40, .dim = 64, .value_dim = 48},
};

TEST(Attention, FollowsItsFormulaOnEveryIsa) {
  for (const AttentionSizes& sizes : kSizes) {
    const Inputs in(sizes);
    const AttentionBias by_key{in.bias.data(), sizes.keys, 0, 0, 1};
    for (const AttentionBias& bias : {AttentionBias{}, in.dense_bias(), by_key}) {
      const auto expected = in.expected(bias);
      for_each_isa([&] { ASSERT_EQ(bits(in.attend(bias)), bits(expected)) << sizes.queries << " queries"; });
    }
  }
}

TEST(Attention, IsTheMeanOfValuesWeightedBySoftmax) {
  const Inputs in({.batch = 1, .heads = 1, .queries = 20, .keys = 50, .dim = 16, .value_dim = 16});
  for_each_isa([&] {
    const std::vector<float> out = in.attend(in.dense_bias());
    for (int64_t query = 0; query < 20; ++query) {
      double total = 0.0, first = 0.0;
      for (int64_t key = 0; key < 50; ++key) {
        double score = in.bias[query * 50 + key];
        for (int64_t d = 0; d < 16; ++d) score += double{in.q[query * 16 + d]} * in.k[key * 16 + d] * Inputs::kScale;
        total += std::exp(score);
        first += std::exp(score) * in.v[key * 16];
      }
      ASSERT_NEAR(out[query * 16], first / total, 1e-5);
    }
  });
}

TEST(Attention, LeavesKeysOutWhoseBiasIsMinusInfinity) {
  const Inputs in({.batch = 1, .heads = 2, .queries = 9, .keys = 8, .dim = 4, .value_dim = 4});
  AttentionSizes fewer = in.sizes;
  fewer.keys = 5;
  std::vector<float> bias(8);
  std::fill(bias.begin() + 5, bias.end(), -kInf);
  for_each_isa([&] {
    std::vector<float> of_five(9 * 2 * 4);
    attention(fewer, in.heads<const float>(in.q.data(), 9, 4), in.heads<const float>(in.k.data(), 8, 4),
              in.heads<const float>(in.v.data(), 8, 4), {}, Inputs::kScale, in.heads(of_five.data(), 9, 4));
    EXPECT_EQ(bits(in.attend({bias.data(), 0, 0, 0, 1})), bits(of_five));

    const std::vector<float> nothing(8, -kInf);
    for (const float y : in.attend({nothing.data(), 0, 0, 0, 1})) ASSERT_TRUE(std::isnan(y));
  });
}

TEST(Attention, SurvivesLargeScores) {
  const Inputs in({.batch = 1, .heads = 1, .queries = 3, .keys = 4, .dim = 2, .value_dim = 3});
  const std::vector<float> bias{-3e38f, 1e30f, -1e30f, 3e38f};
  for_each_isa([&] {
    const std::vector<float> out = in.attend({bias.data(), 0, 0, 0, 1});
    for (int64_t i = 0; i < 9; ++i) ASSERT_EQ(out[i], in.v[3 * 3 + i % 3]);
  });
}

TEST(Attention, RefusesToAttendToNothing) {
  EXPECT_EQ(test::error_of([] { attention({1, 1, 1, 0, 4, 4}, {}, {}, {}, {}, 1.0f, {}); }), "attention: there are no keys");
}

}  // namespace
}  // namespace octet::kernels
