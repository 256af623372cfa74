#pragma once

#include <octet/nn/modules.h>

#include <ATen/core/Tensor.h>
#include <torch/arg.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <filesystem>

namespace octet::models {

/// Those of BERT-base by default, under the names of Hugging Face's config.json.
class BertOptions {
 public:
  /// Reads a config.json. @throws Error for one that is missing or no BERT's; for another activation than the exact GELU; for
  ///         other position embeddings than absolute ones
  static BertOptions from_json(const std::filesystem::path& config);

  TORCH_ARG(int64_t, vocab_size) = 30522;
  TORCH_ARG(int64_t, hidden_size) = 768;
  TORCH_ARG(int64_t, num_hidden_layers) = 12;
  /// Divides hidden_size.
  TORCH_ARG(int64_t, num_attention_heads) = 12;
  TORCH_ARG(int64_t, intermediate_size) = 3072;
  TORCH_ARG(int64_t, max_position_embeddings) = 512;
  TORCH_ARG(int64_t, type_vocab_size) = 2;
  TORCH_ARG(double, layer_norm_eps) = 1e-12;
};

/// The sum of the embeddings of words, positions and token types, normalized.
class BertEmbeddingsImpl : public nn::Cloneable<BertEmbeddingsImpl> {
 public:
  explicit BertEmbeddingsImpl(const BertOptions& options);
  void reset() override;
  at::Tensor forward(const at::Tensor& input_ids, const at::Tensor& token_type_ids = {});

  BertOptions options;
  nn::Embedding word_embeddings{nullptr}, position_embeddings{nullptr}, token_type_embeddings{nullptr};
  nn::LayerNorm layer_norm{nullptr};
};
TORCH_MODULE(BertEmbeddings);

class BertSelfAttentionImpl : public nn::Cloneable<BertSelfAttentionImpl> {
 public:
  explicit BertSelfAttentionImpl(const BertOptions& options);
  void reset() override;
  at::Tensor forward(const at::Tensor& hidden_states, const at::Tensor& attention_bias = {});

  BertOptions options;
  nn::Linear query{nullptr}, key{nullptr}, value{nullptr};
};
TORCH_MODULE(BertSelfAttention);

/// A linear map back to the width of the residual connection, the sum with that, and its LayerNorm.
class BertOutputImpl : public nn::Cloneable<BertOutputImpl> {
 public:
  BertOutputImpl(int64_t in_features, const BertOptions& options);
  void reset() override;
  at::Tensor forward(const at::Tensor& hidden_states, const at::Tensor& residual);

  int64_t in_features;
  BertOptions options;
  nn::Linear dense{nullptr};
  nn::LayerNorm layer_norm{nullptr};
};
TORCH_MODULE(BertOutput);

class BertAttentionImpl : public nn::Cloneable<BertAttentionImpl> {
 public:
  explicit BertAttentionImpl(const BertOptions& options);
  void reset() override;
  at::Tensor forward(const at::Tensor& hidden_states, const at::Tensor& attention_bias = {});

  BertOptions options;
  BertSelfAttention self{nullptr};
  BertOutput output{nullptr};
};
TORCH_MODULE(BertAttention);

/// A linear map to the wide inner layer, and its GELU.
class BertIntermediateImpl : public nn::Cloneable<BertIntermediateImpl> {
 public:
  explicit BertIntermediateImpl(const BertOptions& options);
  void reset() override;
  at::Tensor forward(const at::Tensor& hidden_states);

  BertOptions options;
  nn::Linear dense{nullptr};
};
TORCH_MODULE(BertIntermediate);

/// A layer of the encoder: attention and two linear maps, a LayerNorm after each of their residual connections.
class BertLayerImpl : public nn::Cloneable<BertLayerImpl> {
 public:
  explicit BertLayerImpl(const BertOptions& options = {});
  void reset() override;

  /// @param hidden_states   [batch, length, hidden_size]
  /// @param attention_bias  added to the attention's scores, of a shape that broadcasts to [batch, heads, length, length]; or
  ///                        undefined
  /// @return as hidden_states
  at::Tensor forward(const at::Tensor& hidden_states, const at::Tensor& attention_bias = {});

  BertOptions options;
  BertAttention attention{nullptr};
  BertIntermediate intermediate{nullptr};
  BertOutput output{nullptr};
};
TORCH_MODULE(BertLayer);

class BertEncoderImpl : public nn::Cloneable<BertEncoderImpl> {
 public:
  explicit BertEncoderImpl(const BertOptions& options);
  void reset() override;
  at::Tensor forward(at::Tensor hidden_states, const at::Tensor& attention_bias = {});

  BertOptions options;
  nn::ModuleList layer{nullptr};
};
TORCH_MODULE(BertEncoder);

/// BERT's encoder, ready for quantize_dynamic(): transformers.BertModel without its pooler, with its state-dict names and its
/// initialization. It has no dropout.
class BertModelImpl : public nn::Cloneable<BertModelImpl> {
 public:
  explicit BertModelImpl(const BertOptions& options = {});
  void reset() override;

  /// @param input_ids       [batch, length], int64, of at most max_position_embeddings tokens
  /// @param attention_mask  [batch, length]: 1 for tokens, 0 for padding, which nothing attends to; undefined: no padding
  /// @param token_type_ids  [batch, length], int64; undefined: all zero
  /// @return the last hidden states, [batch, length, hidden_size]
  /// @throws Error for other shapes, for too many tokens, and for a mask that has a row without a token
  at::Tensor forward(const at::Tensor& input_ids, const at::Tensor& attention_mask = {}, const at::Tensor& token_type_ids = {});

  BertOptions options;
  BertEmbeddings embeddings{nullptr};
  BertEncoder encoder{nullptr};
};
TORCH_MODULE(BertModel);

/// The encoder in a folder as Hugging Face's libraries write it, with a config.json and a model.safetensors, in eval mode. It is
/// taken out of models that stand on it ("bert.encoder..."); what else the file holds, such as a pooler, heads for tasks and
/// `embeddings.position_ids`, is left out. A file that octet::save wrote of a quantized BertModel gives that.
/// @throws Error as BertOptions::from_json() and octet::load()
BertModel load_bert(const std::filesystem::path& folder);

/// What sentence-transformers makes of the last hidden states of its usual models: their mean over the tokens, scaled to length
/// one, so that the product of two embeddings is the cosine of their angle.
/// @param last_hidden_state  [batch, length, hidden_size]
/// @param attention_mask     [batch, length]: 1 for tokens, 0 for padding; undefined: no padding
/// @return [batch, hidden_size]
at::Tensor sentence_embeddings(const at::Tensor& last_hidden_state, const at::Tensor& attention_mask = {});

}  // namespace octet::models
