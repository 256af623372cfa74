#pragma once

#include "kernels/elementwise_impl.h"
#include "kernels/kernel_table.h"

namespace octet::kernels {

template <class Simd>
void lstm_row(const LstmRow& row, int64_t hidden) {
  for_each_vector<Simd>(hidden, [&](int64_t i, auto lanes) {
    const auto gate = [&](int64_t index) {
      const int64_t at = index * hidden + i;
      return Simd::add(Simd::load(row.x_gates + at, lanes), Simd::load(row.h_gates + at, lanes));
    };
    const auto in = sigmoid<Simd>(gate(0));
    const auto forget = sigmoid<Simd>(gate(1));
    const auto cell = tanh<Simd>(gate(2));
    const auto out = sigmoid<Simd>(gate(3));
    const auto c = Simd::add(Simd::mul(forget, Simd::load(row.c + i, lanes)), Simd::mul(in, cell));
    Simd::store(row.c_out + i, c, lanes);
    Simd::store(row.h_out + i, Simd::mul(out, tanh<Simd>(c)), lanes);
  });
}

template <class Simd>
void gru_row(const GruRow& row, int64_t hidden) {
  for_each_vector<Simd>(hidden, [&](int64_t i, auto lanes) {
    const auto x = [&](int64_t index) { return Simd::load(row.x_gates + index * hidden + i, lanes); };
    const auto h = [&](int64_t index) { return Simd::load(row.h_gates + index * hidden + i, lanes); };
    const auto reset = sigmoid<Simd>(Simd::add(x(0), h(0)));
    const auto update = sigmoid<Simd>(Simd::add(x(1), h(1)));
    const auto candidate = tanh<Simd>(Simd::add(x(2), Simd::mul(reset, h(2))));
    const auto state = Simd::load(row.h + i, lanes);
    Simd::store(row.h_out + i, Simd::add(Simd::mul(Simd::sub(state, candidate), update), candidate), lanes);
  });
}

template <class Simd>
void rnn_tanh_row(const float* x_gates, const float* h_gates, int64_t hidden, float* h_out) {
  for_each_vector<Simd>(hidden, [&](int64_t i, auto lanes) {
    Simd::store(h_out + i, tanh<Simd>(Simd::add(Simd::load(x_gates + i, lanes), Simd::load(h_gates + i, lanes))), lanes);
  });
}

template <class Simd>
void rnn_relu_row(const float* x_gates, const float* h_gates, int64_t hidden, float* h_out) {
  for_each_vector<Simd>(hidden, [&](int64_t i, auto lanes) {
    Simd::store(h_out + i, relu<Simd>(Simd::add(Simd::load(x_gates + i, lanes), Simd::load(h_gates + i, lanes))), lanes);
  });
}

}  // namespace octet::kernels
