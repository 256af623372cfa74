// The loops of the paths whose instructions most machines lack, on stand-ins that do in software what the instructions do.

#include <octet/kernels/packed_weight.h>

#include <array>
#include <cstring>

#include "kernels/dot_tiles.h"
#include "kernels/matrix_tiles.h"
#include "kernels/reference.h"
#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::GuardedArray;
using test::Random;

int32_t dot_of_four(const uint8_t* a, const int8_t* w) { return a[0] * w[0] + a[1] * w[1] + a[2] * w[2] + a[3] * w[3]; }

/// VPDPBUSD of 256 bits.
struct SoftwareDot {
  struct Vector {
    std::array<int32_t, 8> lanes;
  };
  static Vector zero() { return {}; }
  static Vector load(const int8_t* p) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 32, 0u);
    Vector v;
    std::memcpy(v.lanes.data(), p, 32);
    return v;
  }
  static Vector broadcast(const uint8_t* p) {
    Vector v;
    for (int32_t& lane : v.lanes) std::memcpy(&lane, p, 4);
    return v;
  }
  static void dot(Vector& sum, const Vector& a, const Vector& w) {
    for (size_t l = 0; l < sum.lanes.size(); ++l) {
      uint8_t unsigned_bytes[4];
      int8_t signed_bytes[4];
      std::memcpy(unsigned_bytes, &a.lanes[l], 4);
      std::memcpy(signed_bytes, &w.lanes[l], 4);
      sum.lanes[l] += dot_of_four(unsigned_bytes, signed_bytes);
    }
  }
  static void store(int32_t* p, const Vector& v) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 32, 0u);
    std::memcpy(p, v.lanes.data(), 32);
  }
};

struct Tile {
  int64_t rows = 0, row_bytes = 0;
  uint8_t bytes[16][64] = {};
};

/// AMX: eight tiles of 16 rows of 64 bytes, whose shapes the configuration gives. It checks what the processor would fault at.
struct SoftwareTiles {
  inline static std::array<Tile, 8> tiles;
  inline static bool is_configured = false;

  static void configure(int64_t rows0, int64_t rows1, int64_t k) {
    ASSERT_TRUE(1 <= rows0 && rows0 <= 16 && 1 <= rows1 && rows1 <= 16 && 4 <= k && k <= 64 && k % 4 == 0);
    const std::array<int64_t, 8> rows{rows0, rows0, rows1, rows1, rows0, rows1, k / 4, k / 4};
    for (size_t t = 0; t < 8; ++t) {
      tiles[t] = Tile{};
      tiles[t].rows = rows[t];
      tiles[t].row_bytes = t == 4 || t == 5 ? k : 64;
    }
    is_configured = true;
  }
  template <int kTile, class T>
  static void load(const T* p, int64_t stride) {
    Tile& tile = tiles[kTile];
    for (int64_t r = 0; r < tile.rows; ++r) {
      std::memcpy(tile.bytes[r], reinterpret_cast<const uint8_t*>(p) + r * stride, static_cast<size_t>(tile.row_bytes));
    }
  }
  template <int kTile>
  static void store(int32_t* p, int64_t stride) {
    const Tile& tile = tiles[kTile];
    for (int64_t r = 0; r < tile.rows; ++r) {
      std::memcpy(reinterpret_cast<uint8_t*>(p) + r * stride, tile.bytes[r], static_cast<size_t>(tile.row_bytes));
    }
  }
  template <int kSums, int kActivations, int kWeights>
  static void dot() {
    ASSERT_TRUE(is_configured);
    Tile& sums = tiles[kSums];
    const Tile &a = tiles[kActivations], &w = tiles[kWeights];
    ASSERT_EQ(a.rows, sums.rows);
    ASSERT_EQ(a.row_bytes, 4 * w.rows);
    for (int64_t m = 0; m < sums.rows; ++m) {
      for (int64_t n = 0; n < 16; ++n) {
        int32_t sum;
        std::memcpy(&sum, &sums.bytes[m][4 * n], 4);
        for (int64_t k = 0; k < w.rows; ++k) {
          int8_t four[4];
          std::memcpy(four, &w.bytes[k][4 * n], 4);
          sum += dot_of_four(&a.bytes[m][4 * k], four);
        }
        std::memcpy(&sums.bytes[m][4 * n], &sum, 4);
      }
    }
  }
  static void release() { is_configured = false; }
};

void expect_exact(void (*accumulate)(const AccumulateArgs&), int64_t rows, int64_t n, int64_t k, bool extremes) {
  SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(n) + " x " + std::to_string(k));
  Random random(static_cast<uint32_t>(rows * 10007 + n * 101 + k));
  const int64_t stride = PackedWeight::padded(k);
  const GuardedArray<uint8_t> a(test::random_integers<uint8_t>(random, rows * stride, 0, 255));
  auto w = test::random_integers<int8_t>(random, n * k, -128, 127);
  if (extremes) {
    std::fill_n(a.data(), a.size(), uint8_t{255});
    for (int8_t& value : w) value = random() % 2 ? -128 : 127;
  }
  const PackedWeight packed(w.data(), n, k);
  ASSERT_LE(rows * packed.panels() * kColumns, kSums);
  alignas(64) int32_t sums[kSums];
  std::fill_n(sums, kSums, -1);
  accumulate({.a = a.data(),
              .a_stride = stride,
              .rows = rows,
              .panels = packed.panel(0),
              .panel_count = packed.panels(),
              .padded_k = stride,
              .sums = sums,
              .column_sums = packed.column_sums()});
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < n; ++c) {
      ASSERT_EQ(sums[(c / kColumns * rows + row) * kColumns + c % kColumns],
                reference::linear_sum(a.data() + row * stride, 0, w.data() + c * k, 0, k));
    }
  }
  for (int64_t i = packed.panels() * rows * kColumns; i < kSums; ++i) ASSERT_EQ(sums[i], -1) << "written beyond the sums";
}

void expect_exact_everywhere(void (*accumulate)(const AccumulateArgs&)) {
  for (int64_t rows = 1; rows <= kRowBlock; ++rows) expect_exact(accumulate, rows, 1 + rows % 32, 72, rows % 5 == 0);
  for (int64_t k = 1; k <= 200; ++k) expect_exact(accumulate, 1 + k % 40, 17, k, k % 7 == 0);
  for (int64_t n = 1; n <= 128; n += 5) expect_exact(accumulate, 15, n, 130, false);
}

TEST(DotTiles, AreExactForEveryShape) { expect_exact_everywhere(accumulate_dots<SoftwareDot>); }

TEST(MatrixTiles, AreExactForEveryShapeAndReleaseTheirState) {
  expect_exact_everywhere(accumulate_matrices<SoftwareTiles>);
  EXPECT_FALSE(SoftwareTiles::is_configured);
}

}  // namespace
}  // namespace octet::kernels
