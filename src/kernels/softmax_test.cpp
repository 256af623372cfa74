#include <octet/kernels/softmax.h>

#include <cmath>
#include <numeric>

#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

template <class Quantized>
void check_against_real_numbers(const std::vector<Quantized>& q, int64_t columns, float scale) {
  std::vector<float> y(q.size());
  const auto rows = static_cast<int64_t>(q.size()) / columns;
  softmax(q.data(), rows, columns, scale, y.data(), test::three_threads_for);
  for (int64_t row = 0; row < rows; ++row) {
    const Quantized* const x = q.data() + row * columns;
    const int greatest = *std::max_element(x, x + columns);
    double sum = 0;
    for (int64_t i = 0; i < columns; ++i) sum += std::exp(static_cast<double>(scale) * (x[i] - greatest));
    for (int64_t i = 0; i < columns; ++i) {
      const double expected = std::exp(static_cast<double>(scale) * (x[i] - greatest)) / sum;
      ASSERT_NEAR(y[row * columns + i], expected, 1e-9 + 1e-6 * expected) << row << ", " << i;
    }
  }
}

TEST(Softmax, IsThatOfTheRealNumbers) {
  test::Random random(1);
  for (const int64_t columns : {1, 2, 10, 1'000, 40'000}) {
    for (const float scale : {1e-4f, 0.02f, 0.3f, 5.0f, 1e38f}) {
      check_against_real_numbers(test::random_integers<uint8_t>(random, 3 * columns, 0, 255), columns, scale);
      check_against_real_numbers(test::random_integers<int8_t>(random, 3 * columns, -128, 127), columns, scale);
    }
  }
}

TEST(Softmax, DoesNotDependOnTheOrderOfTheColumns) {
  test::Random random(2);
  const int64_t n = 5'000;
  std::vector<uint8_t> q = test::random_integers<uint8_t>(random, n, 0, 255);
  std::vector<float> y(n), of_shuffled(n);
  softmax(q.data(), 1, n, 0.05f, y.data());
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  std::vector<uint8_t> shuffled;
  for (const int64_t i : order) shuffled.push_back(q[i]);
  softmax(shuffled.data(), 1, n, 0.05f, of_shuffled.data());
  for (int64_t i = 0; i < n; ++i) ASSERT_EQ(of_shuffled[i], y[order[i]]);
}

TEST(Softmax, OfEqualNumbersIsEven) {
  const std::vector<uint8_t> q(8, 255);
  std::vector<float> y(8);
  softmax(q.data(), 2, 4, 0.1f, y.data());
  EXPECT_EQ(y, std::vector<float>(8, 0.25f));
  softmax(q.data(), 0, 4, 0.1f, y.data());
  softmax(q.data(), 4, 0, 0.1f, y.data());
}

}  // namespace
}  // namespace octet::kernels
