#include <octet/nn/multihead_attention.h>

namespace octet::nn {

std::tuple<at::Tensor, at::Tensor> MultiheadAttentionImpl::forward(const at::Tensor& query, const at::Tensor& key,
                                                                   const at::Tensor& value, const at::Tensor& key_padding_mask,
                                                                   bool need_weights, const at::Tensor& attn_mask,
                                                                   bool average_attn_weights) {
  return dispatch<std::tuple<at::Tensor, at::Tensor>>([](auto& target, const auto&... all) { return target.forward(all...); },
                                                      query, key, value, key_padding_mask, need_weights, attn_mask,
                                                      average_attn_weights);
}

void MultiheadAttentionImpl::release_float_parameters() {
  SlotCore::release_float_parameters();
  out_proj = nullptr;
  auto& children = detail::ModuleInternals::children(*this);
  if (children.contains("out_proj")) children.erase("out_proj");
}

}  // namespace octet::nn
