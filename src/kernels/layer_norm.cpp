#include <octet/kernels/layer_norm.h>

#include <cmath>

#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {

void layer_norm(Matrix<const float> x, const Matrix<const float>* residual, int64_t rows, int64_t columns, float eps,
                const float* weight, const float* bias, Matrix<float> out, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  const auto n = static_cast<float>(columns);
  parallel_for(0, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* const z = out.row(row);
      const float mean = table.add_and_sum(x.row(row), residual ? residual->row(row) : nullptr, columns, z) / n;
      const float variance = table.sum_of_squares(z, columns, mean) / n;
      table.normalize_floats(z, columns, mean, 1.0f / std::sqrt(variance + eps), weight, bias);
    }
  });
}

}  // namespace octet::kernels
