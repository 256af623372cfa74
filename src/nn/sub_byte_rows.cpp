#include <octet/kernels/embedding.h>

#include <nn/sub_byte_rows.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>

namespace octet::nn {
namespace {

/// Where in a byte its integers begin.
at::Tensor shifts(int bits) { return at::arange(0, 8, bits, at::kByte); }

}  // namespace

at::Tensor pack_rows(const at::Tensor& integers, int bits) {
  if (bits == 8) return integers.contiguous();
  const int64_t rows = integers.size(0), n = integers.size(1), integers_per_byte = 8 / bits;
  const int64_t row_bytes = kernels::EmbeddingTable::row_bytes(n, bits);
  return at::constant_pad_nd(integers, {0, row_bytes * integers_per_byte - n})
      .reshape({rows, row_bytes, integers_per_byte})
      .bitwise_left_shift(shifts(bits))
      .sum(-1, /*keepdim=*/false, at::kByte);
}

at::Tensor unpack_rows(const at::Tensor& packed, int64_t n, int bits) {
  if (bits == 8) return packed;
  return packed.unsqueeze(-1).bitwise_right_shift(shifts(bits)).bitwise_and((1 << bits) - 1).flatten(1).slice(1, 0, n);
}

}  // namespace octet::nn
