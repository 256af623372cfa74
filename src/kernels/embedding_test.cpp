#include <octet/kernels/embedding.h>

#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::error_of;
using test::for_each_isa;
using test::GuardedArray;
using test::Random;
using test::random_floats;
using test::random_integers;

/// A random table, and the integers that are packed in it.
struct RandomTable {
  RandomTable(int64_t rows, int64_t dimension, int bits)
      : random(static_cast<uint32_t>(dimension * 10 + bits)),
        q(random_integers<uint8_t>(random, rows * dimension, 0, (1 << bits) - 1)),
        packed(rows * EmbeddingTable::row_bytes(dimension, bits)),
        scale(random_floats(random, rows, 0.01f, 0.1f)),
        bias(random_floats(random, rows, -1.0f, 1.0f)),
        table{{packed.data(), EmbeddingTable::row_bytes(dimension, bits)}, rows, dimension, bits, scale.data(), bias.data()} {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < dimension; ++i) packed[r * table.q.stride + i * bits / 8] |= q[r * dimension + i] << (i * bits % 8);
    }
  }

  float value(int64_t row, int64_t column) const {
    return std::fma(static_cast<float>(q[row * table.dimension + column]), scale[row], bias[row]);
  }

  Random random;
  std::vector<uint8_t> q;
  GuardedArray<uint8_t> packed;
  GuardedArray<float> scale, bias;
  EmbeddingTable table;
};

/// Every width and a set of dimensions with and without tails.
template <class Check>
void for_each_table(const Check& check) {
  for (const int bits : {8, 4, 2}) {
    for (const int64_t dimension : {1, 3, 8, 13, 300}) {
      SCOPED_TRACE(std::to_string(bits) + " bits, dimension " + std::to_string(dimension));
      const RandomTable random(10, dimension, bits);
      for_each_isa([&] { check(random, dimension); });
    }
  }
}

TEST(Embedding, LooksRowsUp) {
  const std::vector<int64_t> indices{9, 0, 3, 3};
  for_each_table([&](const RandomTable& random, int64_t dimension) {
    const GuardedArray<float> out(4 * dimension);
    embedding(random.table, indices.data(), 4, {out.data(), dimension}, test::three_threads_for);
    for (int64_t i = 0; i < 4; ++i) {
      for (int64_t j = 0; j < dimension; ++j) ASSERT_EQ(out[i * dimension + j], random.value(indices[i], j));
    }
  });
}

TEST(Embedding, UnpacksLowBitsFirst) {
  const std::vector<float> scale{2.0f}, bias{-1.0f};
  const auto row_of = [&](std::vector<uint8_t> packed, int64_t dimension, int bits) {
    std::vector<float> out(dimension);
    const int64_t index = 0;
    embedding({{packed.data(), 2}, 1, dimension, bits, scale.data(), bias.data()}, &index, 1, {out.data(), dimension});
    return out;
  };
  EXPECT_EQ(row_of({0x21, 0x03}, 3, 4), (std::vector<float>{1, 3, 5}));
  EXPECT_EQ(row_of({0b11100100, 0b10}, 5, 2), (std::vector<float>{-1, 1, 3, 5, 3}));
}

TEST(EmbeddingBag, ReducesInEveryMode) {
  const std::vector<int64_t> indices{1, 4, 4, 7, 2, 0, 7}, offsets{0, 0, 3, 6};  // the first bag is empty
  const std::vector<int64_t> ends{0, 3, 6, 7};
  for_each_table([&](const RandomTable& random, int64_t dimension) {
    for (const BagMode mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
      for (const int64_t padding_idx : {-1, 4, 7}) {  // with 7 the last bag is all padding
        const Bags bags{indices.data(), 7, offsets.data(), 4, nullptr, padding_idx};
        const GuardedArray<float> out(4 * dimension);
        embedding_bag(random.table, bags, mode, {out.data(), dimension}, test::three_threads_for);
        for (int64_t bag = 0; bag < 4; ++bag) {
          for (int64_t j = 0; j < dimension; ++j) {
            float sum = 0.0f, largest = -1e30f;
            int used = 0;
            for (int64_t i = offsets[bag]; i < ends[bag]; ++i) {
              if (indices[i] == padding_idx) continue;
              sum += random.value(indices[i], j);
              largest = std::max(largest, random.value(indices[i], j));
              ++used;
            }
            const float expected = used == 0               ? 0.0f
                                   : mode == BagMode::sum  ? sum
                                   : mode == BagMode::mean ? sum / static_cast<float>(used)
                                                           : largest;
            ASSERT_EQ(out[bag * dimension + j], expected);
          }
        }
      }
    }
  });
}

TEST(EmbeddingBag, WeighsTheRowsOfASum) {
  const std::vector<int64_t> indices{1, 4, 7}, offsets{0};
  const std::vector<float> weights{0.5f, -2.0f, 0.3f};
  for_each_table([&](const RandomTable& random, int64_t dimension) {
    std::vector<float> out(dimension);
    embedding_bag(random.table, {indices.data(), 3, offsets.data(), 1, weights.data()}, BagMode::sum, {out.data(), dimension});
    for (int64_t j = 0; j < dimension; ++j) {
      float sum = 0.0f;
      for (int64_t i = 0; i < 3; ++i) sum = std::fma(weights[i], random.value(indices[i], j), sum);
      ASSERT_EQ(out[j], sum);
    }
  });
}

TEST(EmbeddingBag, NamesWhatIsWrongAndWritesNothing) {
  const RandomTable random(10, 4, 8);
  std::vector<float> out(8, 42.0f);
  const auto run = [&](std::vector<int64_t> indices, std::vector<int64_t> offsets, BagMode mode = BagMode::sum,
                       const float* weights = nullptr) {
    return error_of([&] {
      embedding_bag(
          random.table,
          {indices.data(), static_cast<int64_t>(indices.size()), offsets.data(), static_cast<int64_t>(offsets.size()), weights},
          mode, {out.data(), 4});
    });
  };
  EXPECT_EQ(run({1, 10}, {0}), "embedding: index 10 at position 1 is out of range for a table of 10 rows");
  EXPECT_EQ(run({-1}, {0}), "embedding: index -1 at position 0 is out of range for a table of 10 rows");
  EXPECT_EQ(run({1, 2}, {1}), "embedding_bag: the first offset must be 0, got 1");
  EXPECT_EQ(run({1, 2}, {0, 3}),
            "embedding_bag: offset 3 at position 1 must lie between the one before it, 0, and the number of indices, 2");
  const float weight = 1.0f;
  EXPECT_EQ(run({1}, {0}, BagMode::mean, &weight), "embedding_bag: per_sample_weights need the mode sum");
  EmbeddingTable wrong = random.table;
  wrong.bits = 3;
  const int64_t index = 0;
  EXPECT_EQ(error_of([&] { embedding(wrong, &index, 1, {out.data(), 4}); }), "embedding: bits must be 8, 4 or 2, got 3");
  EXPECT_EQ(out, std::vector<float>(8, 42.0f));
}

}  // namespace
}  // namespace octet::kernels
