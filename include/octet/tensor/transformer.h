#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace octet {

// What a transformer computes beside its linear maps. For float32 tensors on the CPU where no gradient is recorded these are
// Octet's kernels, faster than ATen's; their results are the same bits with every ISA and number of threads. All other calls,
// those of training among them, are ATen's, errors included.

/// at::scaled_dot_product_attention, without dropout: softmax(scale q kᵀ + attn_mask) v.
/// @param q          [batch, heads, length, dim]
/// @param k, v       [batch, heads, source length, dim], where the dim of v may be another
/// @param attn_mask  broadcasts to [batch, heads, length, source length]: floats are added to the scores, of bools true lets
///                   a query attend. A query that may attend to nothing gives NaN.
/// @param scale      1 / sqrt(dim) by default
/// @return [batch, heads, length, dim of v], laid out as [batch, length, heads, dim]: transpose(1, 2).flatten(2) copies nothing
at::Tensor scaled_dot_product_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                        const std::optional<at::Tensor>& attn_mask = {}, std::optional<double> scale = {});

/// at::gelu, the exact one.
at::Tensor gelu(const at::Tensor& x);

/// at::layer_norm over the last dimension of x + residual, which have the same sizes; of x where residual is undefined.
/// @param weight, bias  [size of the last dimension], or undefined
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight, const at::Tensor& bias,
                      double eps);

}  // namespace octet
