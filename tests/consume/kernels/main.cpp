// The int8 engine without LibTorch: [1, 2, 3] times the identity, times 2.
#include <octet/kernels/gemm.h>
#include <octet/kernels/isa.h>

#include <cstdint>
#include <iostream>

int main() {
  namespace kernels = octet::kernels;
  const int8_t weight[3 * 3] = {2, 0, 0, 0, 2, 0, 0, 0, 2};
  const kernels::PackedWeight packed(weight, 3, 3);
  const uint8_t row[kernels::PackedWeight::padded(3)] = {1, 2, 3};
  const int32_t zero_point = 0;

  kernels::QuantizedActivations activations;
  activations.q = {row, packed.padded_k()};
  activations.rows = 1;
  activations.zero_point = &zero_point;
  int32_t sums[3];
  kernels::gemm_int32(activations, packed, {}, {sums, 3});

  std::cout << kernels::name(kernels::selected_isa()) << ": " << sums[0] << ' ' << sums[1] << ' ' << sums[2] << '\n';
  return sums[0] == 2 && sums[1] == 4 && sums[2] == 6 ? 0 : 1;
}
