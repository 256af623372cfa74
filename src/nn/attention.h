// What the observed and the quantized MultiheadAttention have in common: the heads, which compute in float.
#pragma once

#include <torch/nn/modules/activation.h>

#include <array>
#include <cstdint>
#include <utility>

namespace octet::nn {

/// The weight and bias (or none) of a linear map.
struct Projection {
  at::Tensor weight, bias;
};

/// Those of query, key and value, which are one tensor where all three have embed_dim features.
std::array<Projection, 3> input_projections(const torch::nn::MultiheadAttentionImpl& module);

/// The sizes of a call and the masks that go with it.
struct AttentionCall {
  int64_t target_length, batch, source_length;
  at::Tensor key_padding_mask;  ///< bool, [batch, source length], or undefined
  at::Tensor attn_mask;         ///< bool or floating, three-dimensional, or undefined

  /// @throws Error, which names the module that runs, for shapes and dtypes that do not go together
  static AttentionCall checked(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                               const at::Tensor& key_padding_mask, const at::Tensor& attn_mask, int64_t embed_dim, int64_t kdim,
                               int64_t vdim, int64_t num_heads);
};

/// softmax(q kᵀ + mask) v of each head.
/// @param q        [target length, batch, embed_dim], floats, scaled already
/// @param k, v     alike, with source length rows, or one more that no mask covers (bias_k and bias_v)
/// @param dropout  of the weights; 0 for none
/// @return the heads' results side by side, [target length, batch, embed_dim], and the weights,
///         [batch, heads, target length, source length and the rows that were added]
std::pair<at::Tensor, at::Tensor> attend(const AttentionCall& call, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                         int64_t num_heads, bool add_zero_attn, double dropout);

}  // namespace octet::nn
