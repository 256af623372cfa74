#pragma once

#include <octet/nn/slot.h>

#include <torch/nn/modules/activation.h>

#include <memory>
#include <optional>
#include <tuple>

namespace octet::nn {

/// The slot of torch::nn::MultiheadAttention, whose forward has other defaults than Slot gives.
class MultiheadAttentionImpl : public detail::SlotCore<MultiheadAttentionImpl, torch::nn::MultiheadAttentionImpl,
                                                       detail::ForwardSignatureOf<torch::nn::MultiheadAttentionImpl>> {
 public:
  using SlotCore::SlotCore;
  using Signature = detail::ForwardSignatureOf<torch::nn::MultiheadAttentionImpl>;

  /// As torch::nn::MultiheadAttentionImpl::forward.
  std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                             const at::Tensor& key_padding_mask = {}, bool need_weights = true,
                                             const at::Tensor& attn_mask = {}, bool average_attn_weights = true);

 protected:
  void release_float_parameters() override;
};
TORCH_MODULE(MultiheadAttention);

}  // namespace octet::nn
