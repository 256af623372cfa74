#include <octet/kernels/recurrent.h>

#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {

void lstm_cell(int64_t rows, int64_t hidden, Matrix<const float> x_gates, Matrix<const float> h_gates, Matrix<const float> c,
               Matrix<float> c_out, Matrix<float> h_out, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  parallel_for(0, rows, rows_per_task(4 * hidden), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      table.lstm_row({x_gates.row(row), h_gates.row(row), c.row(row), c_out.row(row), h_out.row(row)}, hidden);
    }
  });
}

void gru_cell(int64_t rows, int64_t hidden, Matrix<const float> x_gates, Matrix<const float> h_gates, Matrix<const float> h,
              Matrix<float> h_out, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  parallel_for(0, rows, rows_per_task(3 * hidden), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      table.gru_row({x_gates.row(row), h_gates.row(row), h.row(row), h_out.row(row)}, hidden);
    }
  });
}

void rnn_cell(int64_t rows, int64_t hidden, RnnNonlinearity nonlinearity, Matrix<const float> x_gates,
              Matrix<const float> h_gates, Matrix<float> h_out, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  const auto kernel = nonlinearity == RnnNonlinearity::tanh ? table.rnn_tanh_row : table.rnn_relu_row;
  parallel_for(0, rows, rows_per_task(hidden), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) kernel(x_gates.row(row), h_gates.row(row), hidden, h_out.row(row));
  });
}

}  // namespace octet::kernels
