#pragma once

#include <octet/kernels/matrix.h>
#include <octet/kernels/parallel.h>

#include <cstdint>

namespace octet::kernels {

/// The pointwise halves of recurrent cells: what follows the two matrix products, for `rows` independent rows.
/// `x_gates` and `h_gates` are those products with their biases added, gates in PyTorch's order, `hidden` columns each.
/// Every operation is rounded by itself, in ATen's order; sigmoid and tanh are those of elementwise.h. Outputs may be
/// the state they replace (c_out == c, h_out == h); other overlaps are not allowed.

/// i, f, g, o = x_gates + h_gates, through sigmoid, sigmoid, tanh, sigmoid;
/// c_out = f * c + i * g; h_out = o * tanh(c_out).
/// @param x_gates, h_gates  [rows][4 * hidden]
/// @param c, c_out, h_out   [rows][hidden]
void lstm_cell(int64_t rows, int64_t hidden, Matrix<const float> x_gates, Matrix<const float> h_gates, Matrix<const float> c,
               Matrix<float> c_out, Matrix<float> h_out, ParallelFor parallel_for = serial_for);

/// r = sigmoid(x_r + h_r); z = sigmoid(x_z + h_z); n = tanh(x_n + r * h_n); h_out = (h - n) * z + n.
/// @param x_gates, h_gates  [rows][3 * hidden], in the order r, z, n
/// @param h, h_out          [rows][hidden]
void gru_cell(int64_t rows, int64_t hidden, Matrix<const float> x_gates, Matrix<const float> h_gates, Matrix<const float> h,
              Matrix<float> h_out, ParallelFor parallel_for = serial_for);

enum class RnnNonlinearity : uint8_t { tanh, relu };

/// h_out = nonlinearity(x_gates + h_gates).
/// @param x_gates, h_gates, h_out  [rows][hidden]
void rnn_cell(int64_t rows, int64_t hidden, RnnNonlinearity nonlinearity, Matrix<const float> x_gates,
              Matrix<const float> h_gates, Matrix<float> h_out, ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
