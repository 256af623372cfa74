#include <octet/kernels/recurrent.h>

#include <octet/kernels/elementwise.h>

#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

using test::bits;
using test::for_each_isa;
using test::GuardedArray;
using test::Random;
using test::random_floats;

float sigmoid_of(float x) {
  sigmoid(&x, 1, &x);
  return x;
}

float tanh_of(float x) {
  tanh(&x, 1, &x);
  return x;
}

/// Two guarded gate matrices with rows further apart than they are long, and a state.
struct Inputs {
  Inputs(int64_t rows, int64_t hidden, int64_t gates)
      : random(static_cast<uint32_t>(rows * 100 + hidden)),
        stride(gates * hidden + 3),
        x(random_floats(random, (rows - 1) * stride + gates * hidden, -4.0f, 4.0f)),
        h(random_floats(random, (rows - 1) * stride + gates * hidden, -4.0f, 4.0f)),
        state(random_floats(random, rows * hidden, -2.0f, 2.0f)) {}

  float x_gate(int64_t row, int64_t column) const { return x[row * stride + column]; }
  float h_gate(int64_t row, int64_t column) const { return h[row * stride + column]; }
  Matrix<const float> x_gates() const { return {x.data(), stride}; }
  Matrix<const float> h_gates() const { return {h.data(), stride}; }

  Random random;
  int64_t stride;
  GuardedArray<float> x, h, state;
};

constexpr int64_t kRows = 3;

TEST(Recurrent, LstmCellFollowsItsFormula) {
  for_each_isa([&] {
    for (const int64_t hidden : {1, 7, 8, 9, 20}) {
      const Inputs in(kRows, hidden, 4);
      const GuardedArray<float> c_out(kRows * hidden), h_out(kRows * hidden);
      lstm_cell(kRows, hidden, in.x_gates(), in.h_gates(), {in.state.data(), hidden}, {c_out.data(), hidden},
                {h_out.data(), hidden}, test::three_threads_for);
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t j = 0; j < hidden; ++j) {
          const auto gate = [&](int64_t index) { return in.x_gate(r, index * hidden + j) + in.h_gate(r, index * hidden + j); };
          const float kept = sigmoid_of(gate(1)) * in.state[r * hidden + j];
          const float added = sigmoid_of(gate(0)) * tanh_of(gate(2));
          const float c = kept + added;
          ASSERT_EQ(c_out[r * hidden + j], c);
          ASSERT_EQ(h_out[r * hidden + j], sigmoid_of(gate(3)) * tanh_of(c));
        }
      }
    }
  });
}

TEST(Recurrent, GruCellFollowsItsFormula) {
  for_each_isa([&] {
    for (const int64_t hidden : {1, 7, 8, 9, 20}) {
      const Inputs in(kRows, hidden, 3);
      const GuardedArray<float> h_out(kRows * hidden);
      gru_cell(kRows, hidden, in.x_gates(), in.h_gates(), {in.state.data(), hidden}, {h_out.data(), hidden},
               test::three_threads_for);
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t j = 0; j < hidden; ++j) {
          const float reset = sigmoid_of(in.x_gate(r, j) + in.h_gate(r, j));
          const float update = sigmoid_of(in.x_gate(r, hidden + j) + in.h_gate(r, hidden + j));
          const float gated = reset * in.h_gate(r, 2 * hidden + j);
          const float candidate = tanh_of(in.x_gate(r, 2 * hidden + j) + gated);
          const float moved = (in.state[r * hidden + j] - candidate) * update;
          ASSERT_EQ(h_out[r * hidden + j], moved + candidate);
        }
      }
    }
  });
}

TEST(Recurrent, RnnCellFollowsItsFormula) {
  for_each_isa([&] {
    for (const int64_t hidden : {1, 8, 13}) {
      const Inputs in(kRows, hidden, 1);
      for (const RnnNonlinearity nonlinearity : {RnnNonlinearity::tanh, RnnNonlinearity::relu}) {
        const GuardedArray<float> h_out(kRows * hidden);
        rnn_cell(kRows, hidden, nonlinearity, in.x_gates(), in.h_gates(), {h_out.data(), hidden});
        for (int64_t r = 0; r < kRows; ++r) {
          for (int64_t j = 0; j < hidden; ++j) {
            const float sum = in.x_gate(r, j) + in.h_gate(r, j);
            ASSERT_EQ(h_out[r * hidden + j], nonlinearity == RnnNonlinearity::tanh ? tanh_of(sum) : std::max(sum, 0.0f));
          }
        }
      }
    }
  });
}

TEST(Recurrent, ReplacesTheStateInPlace) {
  const int64_t hidden = 11;
  for_each_isa([&] {
    const Inputs lstm(kRows, hidden, 4);
    std::vector<float> c(kRows * hidden), h(kRows * hidden), in_place = lstm.state.values(), h2(kRows * hidden);
    lstm_cell(kRows, hidden, lstm.x_gates(), lstm.h_gates(), {lstm.state.data(), hidden}, {c.data(), hidden}, {h.data(), hidden});
    lstm_cell(kRows, hidden, lstm.x_gates(), lstm.h_gates(), {in_place.data(), hidden}, {in_place.data(), hidden},
              {h2.data(), hidden});
    EXPECT_EQ(bits(in_place), bits(c));
    EXPECT_EQ(bits(h2), bits(h));

    const Inputs gru(kRows, hidden, 3);
    in_place = gru.state.values();
    gru_cell(kRows, hidden, gru.x_gates(), gru.h_gates(), {gru.state.data(), hidden}, {h.data(), hidden});
    gru_cell(kRows, hidden, gru.x_gates(), gru.h_gates(), {in_place.data(), hidden}, {in_place.data(), hidden});
    EXPECT_EQ(bits(in_place), bits(h));
  });
}

}  // namespace
}  // namespace octet::kernels
