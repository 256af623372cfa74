#include "kernels/clipped_weight.h"

#include <octet/kernels/compact_weights.h>
#include <octet/kernels/convolution.h>
#include <octet/kernels/packed_weight.h>

#include <set>

#include "kernels/clipped_kernels.h"
#include "kernels/convolution_test_support.h"
#include "kernels/reference.h"
#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::GuardedArray;
using test::normal_weights;
using test::Random;
using test::random_integers;

std::vector<const ClippedWeightKernels*> clipped_weight_kernels() {
  return test::available_kernels(&KernelTable::clipped_weights);
}

enum class Weights { normal, uniform, extremes, all_127, all_minus_128, all_0 };
constexpr Weights kAllWeights[] = {Weights::normal,  Weights::uniform,       Weights::extremes,
                                   Weights::all_127, Weights::all_minus_128, Weights::all_0};

std::vector<int8_t> weights(Random& random, int64_t count, Weights kind) {
  switch (kind) {
    case Weights::normal:
      return normal_weights(random, count);
    case Weights::uniform:
      return random_integers<int8_t>(random, count, -128, 127);
    case Weights::extremes: {
      auto values = random_integers<int8_t>(random, count, 0, 3);
      for (int8_t& value : values) value = std::array<int8_t, 4>{-128, -127, 0, 127}[value];
      return values;
    }
    case Weights::all_127:
    case Weights::all_minus_128:
    case Weights::all_0:
      break;
  }
  return std::vector<int8_t>(count, kind == Weights::all_127 ? 127 : kind == Weights::all_minus_128 ? -128 : 0);
}

/// The parts that a clipped weight is made of.
struct Parts {
  explicit Parts(const ClippedWeight& weight, int64_t panels) { weight.set_panels(0, panels, args); }

  int clipped(int64_t column, int64_t k) const {
    return args.panels[column / kColumns * args.padded_k * kColumns + PackedWeight::offset_in_panel(column % kColumns, k)];
  }
  ClippedWeightArgs args{};
};

TEST(ClippedWeight, IsTheWeightTogetherWithWhatWasClippedOff) {
  Random random(1);
  const int64_t n = 35, k = 83;
  for (const Weights kind : kAllWeights) {
    const std::vector<int8_t> w = weights(random, n * k, kind);
    const PackedWeight packed(w.data(), n, k);
    const ClippedWeight clipped(packed);
    const Parts parts(clipped, packed.panels());
    for (int64_t column = 0; column < n; ++column) {
      std::vector<int> sums(packed.padded_k());
      for (int64_t i = 0; i < packed.padded_k(); ++i) sums[i] = parts.clipped(column, i);
      for (uint32_t entry = parts.args.ends[column]; entry < parts.args.ends[column + 1]; ++entry) {
        const ClippedOffWeights& off = parts.args.clipped_off[entry];
        for (int e = 0; e < 4; ++e) sums.at(off.k[e]) += off.value[e];
      }
      ASSERT_EQ(std::vector<int>(sums.begin(), sums.begin() + k), std::vector<int>(&w[column * k], &w[column * k] + k));
    }
  }
}

/// The proof of docs/arithmetic.md, checked on what comes out: no 16-bit sum of products can leave its range, be the activations
/// what they may.
TEST(ClippedWeight, KeepsEvery16BitSumInItsRange) {
  Random random(2);
  const int64_t n = 32, k = 200;
  for (const Weights kind : kAllWeights) {
    const PackedWeight packed(weights(random, n * k, kind).data(), n, k);
    const ClippedWeight clipped(packed);
    const Parts parts(clipped, packed.panels());
    const auto expect_in_range = [](std::initializer_list<int> values) {
      int positive = 0, negative = 0;
      for (const int value : values) (value > 0 ? positive : negative) += value;
      ASSERT_LE(255 * positive, 32767);
      ASSERT_GE(255 * negative, -32768);
    };
    for (int64_t column = 0; column < n; ++column) {
      for (int64_t i = 0; i < k; i += 8) {
        for (const int64_t first : {i, i + 2}) {
          expect_in_range({parts.clipped(column, first), parts.clipped(column, first + 1), parts.clipped(column, first + 4),
                           parts.clipped(column, first + 5)});
        }
      }
      for (uint32_t entry = parts.args.ends[column]; entry < parts.args.ends[column + 1]; ++entry) {
        const int8_t* const value = parts.args.clipped_off[entry].value;
        expect_in_range({value[0], value[1]});
        expect_in_range({value[2], value[3]});
      }
    }
  }
}

/// The least is clipped that makes the sums fit.
TEST(ClippedWeight, ClipsNothingThatFits) {
  std::vector<int8_t> w(16, 32);  // four meet in a sum: 128
  EXPECT_EQ(ClippedWeight(PackedWeight(w.data(), 1, 16)).bytes(),
            ClippedWeight(PackedWeight(std::vector<int8_t>(16).data(), 1, 16)).bytes());
  w[5] = 33;
  const PackedWeight packed(w.data(), 1, 16);
  const ClippedWeight clipped(packed);
  const Parts parts(clipped, 1);
  ASSERT_EQ(parts.args.ends[kColumns], 1u);
  EXPECT_EQ(parts.args.clipped_off[0].k[0], 5);
  EXPECT_EQ(parts.args.clipped_off[0].value[0], 1);
}

void expect_exact(const ClippedWeightKernels& kernels, int64_t rows, int64_t n, int64_t k, Weights kind, bool all_255) {
  SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(n) + " x " + std::to_string(k) + ", weights " +
               std::to_string(static_cast<int>(kind)));
  Random random(static_cast<uint32_t>(rows * 10007 + n * 101 + k));
  const std::vector<int8_t> w = weights(random, n * k, kind);
  const PackedWeight packed(w.data(), n, k);
  const int64_t padded_k = packed.padded_k();
  const GuardedArray<uint8_t> a(random_integers<uint8_t>(random, rows * padded_k, all_255 ? 255 : 0, 255));
  alignas(64) uint8_t transposed[(256 + 1) * kTransposedRows];
  ASSERT_LE(padded_k, 256);
  kernels.transpose(a.data(), padded_k, rows, padded_k, transposed);
  const ClippedWeight clipped(packed);
  ClippedWeightArgs args{};
  args.a = a.data();
  args.a_stride = padded_k;
  args.rows = rows;
  args.transposed = transposed;
  clipped.set_panels(0, packed.panels(), args);
  alignas(64) int32_t sums[kSums * 4];
  ASSERT_LE(packed.panels() * rows * kColumns, kSums * 4);
  kernels.accumulate(args, sums);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < n; ++c) {
      ASSERT_EQ(sums[(c / kColumns * rows + row) * kColumns + c % kColumns],
                reference::linear_sum(a.data() + row * padded_k, 0, w.data() + c * k, 0, k));
    }
  }
}

TEST(ClippedWeight, IsExactForEveryNumberOfRows) {
  for (const ClippedWeightKernels* kernels : clipped_weight_kernels()) {
    for (int64_t rows = 1; rows <= kRowBlock; ++rows) {
      for (const Weights kind : kAllWeights) expect_exact(*kernels, rows, 5, 40, kind, rows % 2 == 0);
    }
  }
}

TEST(ClippedWeight, IsExactForEveryTailOfInputsAndOutputs) {
  for (const ClippedWeightKernels* kernels : clipped_weight_kernels()) {
    for (const Weights kind : kAllWeights) {
      for (int64_t k = 1; k <= 70; ++k) expect_exact(*kernels, 3, 17, k, kind, k % 2 == 0);
      for (int64_t n = 1; n <= 70; ++n) expect_exact(*kernels, 5, n, 250, kind, n % 2 == 0);
    }
  }
}

TEST(ClippedWeight, IsChosenForWeightsOfNetworksButNotIfMuchWouldBeClippedOff) {
  Random random(4);
  const int64_t n = 128, k = 256;
  EXPECT_NE(PackedWeight(normal_weights(random, n * k).data(), n, k).clipped(), nullptr);
  EXPECT_EQ(PackedWeight(weights(random, n * k, Weights::uniform).data(), n, k).clipped(), nullptr);
  EXPECT_EQ(PackedWeight(normal_weights(random, 8 * 8).data(), 8, 8).clipped(), nullptr) << "too small";
  EXPECT_EQ(PackedWeight(nullptr, 0, 8).clipped(), nullptr);
}

TEST(ClippedWeight, TakesAByteAndAQuarterForEachWeightAtMost) {
  Random random(5);
  const int64_t n = 128, k = 256;
  const PackedWeight packed(normal_weights(random, n * k).data(), n, k);
  const int64_t before = packed.bytes();
  ASSERT_NE(packed.clipped(), nullptr);
  EXPECT_GT(packed.bytes(), before + n * k);
  EXPECT_LT(packed.bytes(), before + n * k * 5 / 4);
  EXPECT_EQ(packed.bytes(), before + packed.clipped()->bytes());
}

TEST(ClippedWeight, IsNotMadeOfCompactWeights) {
  Random random(6);
  const int64_t n = 128, k = 256;
  const std::vector<int8_t> w = normal_weights(random, n * k);
  ASSERT_FALSE(compact_weights());
  const PackedWeight fast(w.data(), n, k);
  set_compact_weights(true);
  const PackedWeight compact(w.data(), n, k);
  set_compact_weights(false);
  EXPECT_EQ(compact.clipped(), nullptr);
  EXPECT_LT(compact.bytes(), n * k * 27 / 25);
  EXPECT_NE(fast.clipped(), nullptr) << "a weight keeps what it was packed for";
}

TEST(ClippedWeight, IsMadeOnceForAllThreads) {
  Random random(7);
  const int64_t n = 64, k = 128;
  const PackedWeight packed(normal_weights(random, n * k).data(), n, k);
  const PackedWeight copy = packed;
  const ClippedWeight* made[6] = {};
  test::three_threads_for(0, 6, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) made[i] = (i % 2 ? packed : copy).clipped();
  });
  EXPECT_EQ(std::set<const ClippedWeight*>(made, made + 6), std::set<const ClippedWeight*>{packed.clipped()});
  EXPECT_NE(packed.clipped(), nullptr);
}

/// All kinds of convolutions that are products, with weights that are clipped where the ISA asks for it, and with compact ones.
TEST(ClippedWeight, ServesConvolutions) {
  using Fill = test::Fill;
  const std::vector<test::Options> all = {
      {.geometry = {.in_channels = 64, .out_channels = 72}, .batch = 3, .size = {1, 5, 7}, .fill = Fill::normal_weights},
      {.geometry = {.in_channels = 67, .out_channels = 64}, .size = {1, 9, 9}, .affine = true, .fill = Fill::normal_weights},
      {.geometry = {.in_channels = 24, .out_channels = 70, .kernel = {1, 3, 3}, .stride = {1, 2, 2}, .padding = {0, 1, 1}},
       .size = {1, 16, 13},
       .residual = true,
       .fill = Fill::normal_weights},
      {.geometry = {.in_channels = 24, .out_channels = 48, .kernel = {1, 3, 3}, .padding = {0, 2, 2}, .dilation = {1, 2, 2}},
       .size = {1, 9, 8},
       .relu = true,
       .fill = Fill::normal_weights},
      {.geometry = {.in_channels = 128, .out_channels = 96, .groups = 2, .kernel = {1, 1, 3}, .padding = {0, 0, 1}},
       .batch = 2,
       .size = {1, 3, 9},
       .fill = Fill::normal_weights},
      {.geometry = {.in_channels = 64,
                    .out_channels = 48,
                    .kernel = {1, 4, 4},
                    .stride = {1, 2, 2},
                    .padding = {0, 1, 1},
                    .transposed = true},
       .size = {1, 6, 5},
       .fill = Fill::normal_weights},
      {.geometry = {.in_channels = 32, .out_channels = 64, .kernel = {3, 1, 1}, .padding = {1, 0, 0}},
       .size = {4, 3, 5},
       .fill = Fill::normal_weights},
  };
  for (const test::Options& options : all) {
    const test::Problem problem(options);
    const PackedConvolution packed(problem.weight.data(), options.geometry);
    const int64_t before = packed.bytes();
    set_compact_weights(true);
    const PackedConvolution compact(problem.weight.data(), options.geometry);
    set_compact_weights(false);
    test::for_each_isa([&] {
      for (const ParallelFor parallel_for : {ParallelFor(serial_for), ParallelFor(test::three_threads_for)}) {
        problem.expect_exact<uint8_t>(packed, parallel_for);
        problem.expect_exact<int8_t>(packed, parallel_for);
        problem.expect_exact<uint8_t>(compact, parallel_for);
      }
    });
    EXPECT_EQ(packed.bytes() > before, !clipped_weight_kernels().empty()) << problem.describe();
    EXPECT_EQ(compact.bytes(), before);
  }
}

}  // namespace
}  // namespace octet::kernels
