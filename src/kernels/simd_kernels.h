#pragma once

#include "kernels/attention_impl.h"
#include "kernels/binary_impl.h"
#include "kernels/channels_last_impl.h"
#include "kernels/depthwise_impl.h"
#include "kernels/elementwise_impl.h"
#include "kernels/embedding_impl.h"
#include "kernels/fake_quantize_impl.h"
#include "kernels/gemm_finish_impl.h"
#include "kernels/half_impl.h"
#include "kernels/int4_gemm_impl.h"
#include "kernels/kernel_table.h"
#include "kernels/layer_norm_impl.h"
#include "kernels/normalization_impl.h"
#include "kernels/pool_impl.h"
#include "kernels/quantize_impl.h"
#include "kernels/recurrent_impl.h"

namespace octet::kernels {

/// The table of an ISA whose kernels are the common templates over its Simd type, but for the GEMM's inner loop.
template <class Simd>
constexpr KernelTable simd_kernels(Isa isa, void (*accumulate)(const AccumulateArgs&)) {
  return {
      .isa = isa,
      .accumulate = accumulate,
      .finish_float = finish_float<Simd>,
      .finish_int32 = finish_int32<Simd>,
      .finish_requantized = finish_requantized<Simd>,
      .depthwise = depthwise<Simd>,
      .min_max = min_max<Simd>,
      .quantize = quantize<Simd>,
      .requantize_u8 = requantize<Simd, uint8_t>,
      .requantize_s8 = requantize<Simd, int8_t>,
      .dequantize_u8 = dequantize<Simd, uint8_t>,
      .dequantize_s8 = dequantize<Simd, int8_t>,
      .fake_quantize = fake_quantize<Simd, false>,
      .fake_quantize_with_mask = fake_quantize<Simd, true>,
      .fake_quantize_learnable_backward = fake_quantize_learnable_backward<Simd>,
      .keep_where_set = keep_where_set<Simd>,
      .add_u8 = add_pairs<Simd, uint8_t>,
      .add_s8 = add_pairs<Simd, int8_t>,
      .multiply_u8 = multiply_pairs<Simd, uint8_t>,
      .multiply_s8 = multiply_pairs<Simd, int8_t>,
      .integer_sums_u8 = integer_sums<Simd, uint8_t>,
      .integer_sums_s8 = integer_sums<Simd, int8_t>,
      .normalize_u8 = normalize<Simd, uint8_t>,
      .normalize_s8 = normalize<Simd, int8_t>,
      .look_up = look_up<Simd>,
      .interleave_planes = {interleave_planes<Simd, 1>, interleave_planes<Simd, 2>, interleave_planes<Simd, 3>,
                            interleave_planes<Simd, 4>},
      .max_pool_row_u8 = max_pool_row<Simd, uint8_t>,
      .max_pool_row_s8 = max_pool_row<Simd, int8_t>,
      .average_pool_row_u8 = average_pool_row<Simd, uint8_t>,
      .average_pool_row_s8 = average_pool_row<Simd, int8_t>,
      .sigmoid = sigmoid_all<Simd>,
      .tanh = tanh_all<Simd>,
      .gelu = gelu_all<Simd>,
      .attention_block = attention_block<Simd>,
      .add_and_sum = add_and_sum<Simd>,
      .sum_of_squares = sum_of_squares<Simd>,
      .normalize_floats = normalize_floats<Simd>,
      .lstm_row = lstm_row<Simd>,
      .gru_row = gru_row<Simd>,
      .rnn_tanh_row = rnn_tanh_row<Simd>,
      .rnn_relu_row = rnn_relu_row<Simd>,
      .float_to_half = float_to_half_all<Simd>,
      .half_to_float = half_to_float_all<Simd>,
      .half_gemm = half_gemm<Simd>,
      .int4_quantize_row = int4_quantize_row<Simd>,
      .int4_accumulate = int4_accumulate<Simd>,
      .int4_finish = int4_finish<Simd>,
      .embedding_of_8_bits = embedding_kernels<Simd, 8>(),
      .embedding_of_4_bits = embedding_kernels<Simd, 4>(),
      .embedding_of_2_bits = embedding_kernels<Simd, 2>(),
  };
}

}  // namespace octet::kernels
