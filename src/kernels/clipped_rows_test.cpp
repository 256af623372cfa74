#include "kernels/clipped_rows.h"

#include <octet/kernels/gemm.h>
#include <octet/kernels/packed_weight.h>

#include "kernels/reference.h"
#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::GuardedArray;
using test::Random;
using test::random_integers;

std::vector<const ClippedKernels*> clipped_kernels() { return test::available_kernels(&KernelTable::clipped); }

enum class Fill { normal, behind_relu, uniform, extremes, zeros_and_255, all_255, all_0 };
constexpr Fill kFills[] = {Fill::normal,        Fill::behind_relu, Fill::uniform, Fill::extremes,
                           Fill::zeros_and_255, Fill::all_255,     Fill::all_0};

std::vector<uint8_t> activations(Random& random, int64_t count, Fill fill) {
  std::normal_distribution<float> normal(fill == Fill::normal ? 128.0f : 0.0f, 45.0f);
  std::vector<uint8_t> values(count);
  for (uint8_t& value : values) {
    switch (fill) {
      case Fill::normal:
      case Fill::behind_relu:
        value = static_cast<uint8_t>(std::clamp(std::nearbyint(normal(random)), 0.0f, 255.0f));
        break;
      case Fill::uniform:
        value = static_cast<uint8_t>(random());
        break;
      case Fill::extremes:
        value = std::array<uint8_t, 6>{0, 1, 127, 128, 254, 255}[random() % 6];
        break;
      case Fill::zeros_and_255:
        value = random() % 16 ? 0 : 255;
        break;
      case Fill::all_255:
      case Fill::all_0:
        value = fill == Fill::all_255 ? 255 : 0;
        break;
    }
  }
  return values;
}

/// Rows that were clipped one by one, with the kernels alone.
struct Clipped {
  Clipped(const ClippedKernels& kernels, const std::vector<uint8_t>& a, int64_t rows, int64_t k, SumDepth depth)
      : padded_k(PackedWeight::padded(k)), clipped(rows * padded_k), rows(rows), depth(depth) {
    for (int64_t row = 0; row < rows; ++row) {
      const GuardedArray<uint8_t> one(std::vector<uint8_t>(a.begin() + row * k, a.begin() + (row + 1) * k));
      const ClipCount count = kernels.count(one.data(), k);
      offsets.push_back(count.offset);
      const int64_t room = 4 * (depth == SumDepth::two_quads ? count.two_quads : count.one_quad);
      const GuardedArray<ClippedOff> added(room), subtracted(room);
      const GuardedArray<int8_t> to(padded_k);
      const ClipResult result =
          kernels.clip({one.data(), k, padded_k, count.offset, depth, to.data(), added.data(), subtracted.data()});
      std::copy_n(to.data(), padded_k, clipped.data() + row * padded_k);
      entries.insert(entries.end(), added.data(), added.data() + result.added);
      const auto end_of_added = static_cast<int32_t>(entries.size());
      entries.insert(entries.end(), subtracted.data(), subtracted.data() + result.subtracted);
      ends.push_back({-128 * result.sum, end_of_added, static_cast<int32_t>(entries.size())});
    }
  }

  std::vector<int32_t> sums(const ClippedKernels& kernels, const PackedWeight& weight) const {
    std::vector<int32_t> all;
    for (int64_t panel = 0; panel < weight.panels(); ++panel) {
      alignas(64) int32_t sums[kRowBlock * kColumns];
      kernels.accumulate(
          {clipped.data(), padded_k, rows, ends.data(), entries.data(), depth, weight.panel(panel), 1, padded_k, sums});
      all.insert(all.end(), sums, sums + rows * kColumns);
    }
    return all;
  }

  int64_t padded_k;
  GuardedArray<int8_t> clipped;
  int64_t rows;
  SumDepth depth;
  std::vector<int32_t> offsets;
  std::vector<ClippedOff> entries;
  std::vector<ClippedRow> ends;
};

void expect_exact(const ClippedKernels& kernels, int64_t rows, int64_t n, int64_t k, SumDepth depth, Fill fill) {
  SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(n) + " x " + std::to_string(k) + ", fill " +
               std::to_string(static_cast<int>(fill)) + ", depth " + std::to_string(static_cast<int>(depth)));
  Random random(static_cast<uint32_t>(rows * 10007 + n * 101 + k));
  const std::vector<uint8_t> a = activations(random, rows * k, fill);
  auto w = random_integers<int8_t>(random, n * k, -128, 127);
  if (fill >= Fill::extremes) {
    for (int8_t& value : w) value = random() % 2 ? -128 : 127;
  }
  const Clipped clipped(kernels, a, rows, k, depth);
  const std::vector<int32_t> sums = clipped.sums(kernels, PackedWeight(w.data(), n, k));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < n; ++c) {
      ASSERT_EQ(sums[(c / kColumns * rows + row) * kColumns + c % kColumns],
                reference::linear_sum(a.data() + row * k, clipped.offsets[row], w.data() + c * k, 0, k));
    }
  }
}

constexpr SumDepth kDepths[] = {SumDepth::one_quad, SumDepth::two_quads};

TEST(ClippedRows, AreExactForEveryNumberOfRows) {
  for (const ClippedKernels* kernels : clipped_kernels()) {
    for (int64_t rows = 1; rows <= kRowBlock; ++rows) {
      for (const Fill fill : kFills) expect_exact(*kernels, rows, 5, 40, kDepths[rows % 2], fill);
    }
  }
}

TEST(ClippedRows, AreExactForEveryTailOfInputs) {
  for (const ClippedKernels* kernels : clipped_kernels()) {
    for (int64_t k = 1; k <= 70; ++k) {
      for (const Fill fill : kFills) {
        for (const SumDepth depth : kDepths) expect_exact(*kernels, 3, 17, k, depth, fill);
      }
    }
  }
}

TEST(ClippedRows, AreExactForLongRows) {
  for (const ClippedKernels* kernels : clipped_kernels()) {
    for (const int64_t k : {1024, 1032, 2047, 5000}) {
      for (const Fill fill : kFills) {
        for (const SumDepth depth : kDepths) expect_exact(*kernels, 7, 16, k, depth, fill);
      }
    }
  }
}

/// The proof of docs/arithmetic.md, checked on what comes out: no 16-bit sum of products can leave its range.
TEST(ClippedRows, KeepEvery16BitSumInItsRange) {
  for (const ClippedKernels* kernels : clipped_kernels()) {
    for (const Fill fill : kFills) {
      for (const SumDepth depth : kDepths) {
        Random random(3);
        const int64_t rows = 4, k = 203;
        const Clipped clipped(*kernels, activations(random, rows * k, fill), rows, k, depth);
        const int quads = static_cast<int>(depth);
        for (int64_t first = 0; first < clipped.clipped.size(); first += 4 * quads) {
          for (int half = 0; half < 4; half += 2) {
            int positive = 0, negative = 0;
            for (int e = 0; e < 2 * quads; ++e) {
              const int value = clipped.clipped[first + half + e / 2 * 4 + e % 2];
              (value > 0 ? positive : negative) += value;
            }
            ASSERT_LE(255 * positive, 32767);
            ASSERT_GE(255 * negative, -32768);
          }
        }
      }
    }
  }
}

/// The least is clipped that makes the sums fit: activations that fit as they are stay as they are.
TEST(ClippedRows, ClipNothingThatFits) {
  for (const ClippedKernels* kernels : clipped_kernels()) {
    std::vector<uint8_t> a(64, 100);
    for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<uint8_t>(a[i] + (i % 2 ? 32 : -32));
    const ClipCount count = kernels->count(a.data(), 64);
    EXPECT_EQ(count.offset, 100);
    EXPECT_EQ(count.one_quad, 0);
    EXPECT_EQ(count.two_quads, 0);
    a[8] = 255;  // 155 above the offset, beside two activations 32 below it and one 32 above: 59 too much for two quads
    EXPECT_EQ(Clipped(*kernels, a, 1, 64, SumDepth::two_quads).entries.size(), 1u);
  }
}

/// The public product takes clipped rows where that pays, and gives the same.
TEST(ClippedRows, ServeTheProduct) {
  Random random(5);
  const int64_t rows = 2 * kRowBlock + 3, k = 130, n = 200;
  const std::vector<int8_t> w = random_integers<int8_t>(random, n * k, -127, 127);
  const std::vector<int32_t> zero_point{77};
  for (const Fill fill : kFills) {
    const std::vector<uint8_t> a = activations(random, rows * PackedWeight::padded(k), fill);
    const QuantizedActivations q{.q = {a.data(), PackedWeight::padded(k)}, .rows = rows, .zero_point = zero_point.data()};
    std::vector<std::vector<int32_t>> results;
    test::for_each_isa([&] {
      results.emplace_back(rows * n);
      gemm_int32(q, PackedWeight(w.data(), n, k), {}, {results.back().data(), n});
    });
    for (const auto& result : results) ASSERT_EQ(result, results.front());
  }
}

}  // namespace
}  // namespace octet::kernels
