#include <octet/kernels/binary.h>

#include <limits>

#include "kernels/reference.h"
#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::error_of;
using test::for_each_isa;
using test::GuardedArray;
using test::Random;
using test::random_integers;

/// One of the operations: the kernel, and what its result stands for in steps of the output.
template <class Quantized>
struct Operation {
  void (*kernel)(const Operand<Quantized>&, const Operand<Quantized>&, int64_t, int64_t, const AffineQParams&, Matrix<Quantized>);
  float (*in_steps)(float a, float a_scale, float b, float b_scale, float inverse);
};

template <class Quantized>
const Operation<Quantized> kOperations[] = {
    {add, [](float a, float a_scale, float b, float b_scale,
             float inverse) { return std::fma(a, a_scale * inverse, b * (b_scale * inverse)); }},
    {multiply,
     [](float a, float a_scale, float b, float b_scale, float inverse) { return a * b * (a_scale * b_scale * inverse); }},
};

template <class Quantized>
int32_t expected(const Operation<Quantized>& operation, int32_t a, const Operand<Quantized>& of_a, int32_t b,
                 const Operand<Quantized>& of_b, const AffineQParams& out) {
  const float y = operation.in_steps(static_cast<float>(a - of_a.zero_point), of_a.scale, static_cast<float>(b - of_b.zero_point),
                                     of_b.scale, 1.0f / out.scale);
  return reference::quantize(y, {1.0f, out.zero_point, out.quant_min, out.quant_max});
}

/// Every pair of integers, in each quantization of the outputs.
template <class Quantized>
void expect_all_pairs() {
  constexpr int32_t kLowest = std::numeric_limits<Quantized>::min(), kHighest = std::numeric_limits<Quantized>::max();
  std::vector<Quantized> every(256), result(256 * 256);
  for (int32_t i = 0; i < 256; ++i) every[i] = static_cast<Quantized>(kLowest + i);
  std::vector<Quantized> columns(256 * 256);
  for (int64_t i = 0; i < 256 * 256; ++i) columns[i] = every[i / 256];
  for_each_isa([&] {
    for (const auto& operation : kOperations<Quantized>) {
      for (const AffineQParams& out : {AffineQParams{0.1f, kLowest + 3, kLowest, kHighest},
                                       AffineQParams{0.25f, kHighest - 100, kHighest - 100, kHighest},  // with a relu
                                       AffineQParams{1e-4f, 5, 0, 100}}) {
        const Operand<Quantized> a{{every.data(), 0}, 0.25f, kLowest + 7}, b{{columns.data(), 256}, 0.125f, kHighest};
        operation.kernel(a, b, 256, 256, out, {result.data(), 256});
        for (int64_t i = 0; i < 256 * 256; ++i) {
          ASSERT_EQ(result[i], expected(operation, every[i % 256], a, every[i / 256], b, out)) << i << " scale " << out.scale;
        }
      }
    }
  });
}

TEST(Binary, CombinesEveryPairOfIntegersAsWritten) {
  expect_all_pairs<uint8_t>();
  expect_all_pairs<int8_t>();
}

TEST(Binary, TakesAnyLengthStridesRepeatedRowsAndWorksInPlace) {
  Random random(3);
  const AffineQParams out{0.07f, 9, 0, 255};
  for (const int64_t n : {0, 1, 7, 8, 9, 15, 33}) {
    const GuardedArray<uint8_t> a(random_integers<uint8_t>(random, 3 * n, 0, 255));
    const GuardedArray<uint8_t> row(random_integers<uint8_t>(random, n, 0, 255));
    const Operand<uint8_t> of_a{{a.data(), n}, 0.05f, 100}, of_row{{row.data(), 0}, 0.02f, 30};
    const std::vector<uint8_t> before = a.values();
    for_each_isa([&] {
      std::copy(before.begin(), before.end(), a.data());
      add(of_a, of_row, 3, n, out, {a.data(), n});
      for (int64_t i = 0; i < 3 * n; ++i) {
        ASSERT_EQ(a[i], expected(kOperations<uint8_t>[0], before[i], of_a, row[i % n], of_row, out));
      }
    });
  }
}

TEST(Binary, RoundsHalvesToTheEvenInteger) {
  const std::vector<uint8_t> a{1, 2, 3, 5, 255}, b{0, 1, 2, 2, 255};
  std::vector<uint8_t> out(5);
  for_each_isa([&] {
    add(Operand<uint8_t>{{a.data(), 5}, 1.0f, 0}, Operand<uint8_t>{{b.data(), 5}, 1.0f, 0}, 1, 5, {2.0f, 0, 0, 255},
        {out.data(), 5});
    EXPECT_EQ(out, (std::vector<uint8_t>{0, 2, 2, 4, 255}));  // 0.5, 1.5, 2.5, 3.5 and 255
    multiply(Operand<uint8_t>{{a.data(), 5}, 0.5f, 0}, Operand<uint8_t>{{b.data(), 5}, 1.0f, 1}, 1, 5, {1.0f, 10, 0, 255},
             {out.data(), 5});
    EXPECT_EQ(out, (std::vector<uint8_t>{10, 10, 12, 12, 255}));  // -0.5, 0, 1.5, 2.5
  });
}

TEST(Binary, NamesWhatIsWrongWithItsArguments) {
  uint8_t q = 0;
  const Operand<uint8_t> one{{&q, 1}, 1.0f, 0};
  EXPECT_EQ(error_of([&] { add(one, one, 1, 1, {0.0f, 0, 0, 255}, {&q, 1}); }), "add: scale must be positive and finite, got 0");
  EXPECT_EQ(error_of([&] { multiply(one, one, 1, 1, {1.0f, 256, 0, 255}, {&q, 1}); }),
            "multiply: zero point 256 is not in 0 .. 255");
}

}  // namespace
}  // namespace octet::kernels
