#pragma once

#include <octet/nn/implementation_of.h>
#include <octet/nn/multihead_attention.h>
#include <octet/observe/qconfig.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>

namespace octet::nn::quantized {

/// MultiheadAttention with int8 weights, quantized inputs and results, as torch.ao.nn.quantized.MultiheadAttention: the four
/// projections in integers; the products of the heads and their softmax in float. Immutable; clones share the weights.
class MultiheadAttentionImpl : public ImplementationOf<MultiheadAttentionImpl, nn::MultiheadAttentionImpl::Implementation> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::MultiheadAttention";

  /// The options, the projections, and how results are quantized.
  struct Parts;
  explicit MultiheadAttentionImpl(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

  /// @param module  in a slot with a calibrated quantizable::MultiheadAttention
  /// @throws Error for other modules, for weights that can't be quantized to qint8, for a part that calibration did not reach
  static std::shared_ptr<MultiheadAttentionImpl> from_float(const torch::nn::MultiheadAttentionImpl& module,
                                                            const QConfig& qconfig, const std::string& path);

  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<MultiheadAttentionImpl> from_state(const StateDict& state, const Attributes& attributes,
                                                            const std::string& path);

  /// @param query             quint8 or qint8 per tensor, [target length, batch, embed_dim]
  /// @param key, value        alike, [source length, batch, kdim] and [source length, batch, vdim]
  /// @param key_padding_mask  undefined, or bool (uint8 counts as such), [batch, source length]: true for keys to ignore
  /// @param attn_mask         undefined, or floats that are added to the products, or bool as above; [target length, source
  ///                          length] or [batch * heads, target length, source length]. Bool and three dimensions are as in
  ///                          Python: LibTorch's float module adds true as 1 and refuses the latter
  /// @return the output [target length, batch, embed_dim], quantized, and, unless `need_weights` is false, the attention weights,
  ///         quantized, [batch, target length, source length], or not averaged over the heads
  ///         [batch, heads, target length, source length]
  /// @throws Error for float tensors, and for other shapes and dtypes
  std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                             const at::Tensor& key_padding_mask = {}, bool need_weights = true,
                                             const at::Tensor& attn_mask = {}, bool average_attn_weights = true) override;

  /// torch.ao's names: `linear_Q.weight`, ... `out_proj.scale`, `quant_attn_output.scale`, ...; `bias_k.int_repr` with the scale
  /// of linear_K and `bias_v.int_repr` with that of linear_V.
  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override;
  void pretty_print(std::ostream& stream) const override;

 private:
  std::shared_ptr<const Parts> parts_;  // shared by clones
};
TORCH_MODULE(MultiheadAttention);

}  // namespace octet::nn::quantized
