#pragma once

#include <octet/nn/implementation_of.h>
#include <octet/nn/multihead_attention.h>
#include <octet/nn/observed_implementation.h>
#include <octet/observe/qconfig.h>

#include <memory>
#include <string>
#include <tuple>

namespace octet::nn::quantizable {

/// What prepare() puts into a MultiheadAttention: its projections and results with observers of their own.
/// torch.ao.nn.quantizable.MultiheadAttention. The parts are `linear_Q`, `linear_K`, `linear_V` (the projections),
/// `quant_attn_output` (what the heads give, side by side), `out_proj` and `quant_attn_output_weights`.
class MultiheadAttentionImpl
    : public ImplementationOf<MultiheadAttentionImpl, ObservedImplementation<nn::MultiheadAttentionImpl::Signature>> {
 public:
  static constexpr const char* kKind = "octet::nn::quantizable::MultiheadAttention";
  using Wrapped = torch::nn::MultiheadAttentionImpl;

  using ImplementationOf::ImplementationOf;
  static std::shared_ptr<MultiheadAttentionImpl> from_float(const torch::nn::MultiheadAttentionImpl& module,
                                                            const QConfig& qconfig, const std::string& path);

  /// What the float module computes. Arguments as those of quantized::MultiheadAttentionImpl::forward, but in float.
  std::tuple<at::Tensor, at::Tensor> forward(torch::nn::Module& float_module, const at::Tensor& query, const at::Tensor& key,
                                             const at::Tensor& value, const at::Tensor& key_padding_mask, bool need_weights,
                                             const at::Tensor& attn_mask, bool average_attn_weights) override;
};
TORCH_MODULE(MultiheadAttention);

}  // namespace octet::nn::quantizable
