#include <octet/kernels/half.h>

#include <algorithm>
#include <bit>
#include <vector>

#include "kernels/check.h"
#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {

half_bits float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<half_bits>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));  // NaN
  if (magnitude >= 0x477ff000) return static_cast<half_bits>(sign | 0x7c00);  // 65520 and more round to infinity
  if (magnitude < 0x38800000) {
    // Below 2^-14 halves are multiples of 2^-24. Adding 0.5, whose last place is worth 2^-24, makes the FPU round to
    // them.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<half_bits>(sign | (std::bit_cast<uint32_t>(aligned) - std::bit_cast<uint32_t>(0.5f)));
  }
  // The exponents' biases differ by 112. Half a unit is added, less one if the last bit that stays is even.
  const uint32_t odd = magnitude >> 13 & 1;
  return static_cast<half_bits>(sign | (magnitude - (112u << 23) + 0xfff + odd) >> 13);
}

float half_to_float(half_bits value) {
  const uint32_t sign = uint32_t{value} << 16 & 0x80000000;
  const uint32_t magnitude = value & 0x7fffu;
  uint32_t bits;
  if (magnitude > 0x7c00) {
    bits = 0x7fc00000 | magnitude << 13;  // NaN, made quiet
  } else if (magnitude == 0x7c00) {
    bits = 0x7f800000;
  } else if (magnitude >= 0x0400) {
    bits = (magnitude << 13) + (112u << 23);
  } else {
    bits = std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
  }
  return std::bit_cast<float>(sign | bits);
}

void float_to_half(const float* x, int64_t n, half_bits* y, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  parallel_for(0, n, kElementsPerTask,
               [&](int64_t begin, int64_t end) { table.float_to_half(x + begin, end - begin, y + begin); });
}

void half_to_float(const half_bits* x, int64_t n, float* y, ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  parallel_for(0, n, kElementsPerTask,
               [&](int64_t begin, int64_t end) { table.half_to_float(x + begin, end - begin, y + begin); });
}

void half_gemm(Matrix<const float> x, int64_t rows, Matrix<const half_bits> weight, int64_t n, int64_t k,
               const Epilogue& epilogue, Matrix<float> out, ParallelFor parallel_for) {
  check(rows >= 0 && n >= 0 && k >= 0, "half_gemm: sizes must not be negative, got rows = ", rows, ", n = ", n, ", k = ", k);
  const KernelTable& table = kernels();
  const std::vector<float> zeros(epilogue.bias ? 0 : kHalfColumns);
  const int64_t groups = (n + kHalfColumns - 1) / kHalfColumns;
  parallel_for(0, groups, items_per_task(kMacsPerTask, rows * kHalfColumns * k), [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group) {
      const int64_t column = group * kHalfColumns;
      table.half_gemm({x.data, x.stride, rows, weight.row(column), weight.stride, std::min(kHalfColumns, n - column), k,
                       epilogue.bias ? epilogue.bias + column : zeros.data(), epilogue.relu, out.data + column, out.stride});
    }
  });
}

}  // namespace octet::kernels
