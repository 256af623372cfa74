#include <octet/nn/quantizable_multihead_attention.h>

#include <nn/attention.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>

#include <cmath>

namespace octet::nn::quantizable {
namespace {

enum Part : uint8_t { linear_Q, linear_K, linear_V, quant_attn_output, out_proj, quant_attn_output_weights };

}  // namespace

std::shared_ptr<MultiheadAttentionImpl> MultiheadAttentionImpl::from_float(const torch::nn::MultiheadAttentionImpl&,
                                                                           const QConfig& qconfig, const std::string&) {
  static const std::vector<std::string> parts{"linear_Q",          "linear_K", "linear_V",
                                              "quant_attn_output", "out_proj", "quant_attn_output_weights"};
  return std::make_shared<MultiheadAttentionImpl>(parts, qconfig.activation);
}

std::tuple<at::Tensor, at::Tensor> MultiheadAttentionImpl::forward(torch::nn::Module& float_module, const at::Tensor& query,
                                                                   const at::Tensor& key, const at::Tensor& value,
                                                                   const at::Tensor& key_padding_mask, bool need_weights,
                                                                   const at::Tensor& attn_mask, bool average_attn_weights) {
  auto& module = dynamic_cast<torch::nn::MultiheadAttentionImpl&>(float_module);
  const auto& options = module.options;
  const AttentionCall call = AttentionCall::checked(query, key, value, key_padding_mask, attn_mask, options.embed_dim(),
                                                    options.kdim(), options.vdim(), options.num_heads());
  const auto projections = input_projections(module);
  const auto project = [&](Part part, const at::Tensor& x) {
    return observe(part, at::linear(x, projections[part].weight, projections[part].bias));
  };
  const auto with_bias = [&](const at::Tensor& x, const at::Tensor& bias) {
    return bias.defined() ? at::cat({x, bias.expand({1, call.batch, -1})}) : x;
  };
  const at::Tensor q = project(linear_Q, query) * (1 / std::sqrt(static_cast<double>(module.head_dim)));
  const at::Tensor k = with_bias(project(linear_K, key), module.bias_k), v = with_bias(project(linear_V, value), module.bias_v);
  const auto [heads, head_weights] =
      attend(call, q, k, v, options.num_heads(), options.add_zero_attn(), module.is_training() ? options.dropout() : 0);
  const at::Tensor output =
      observe(out_proj, at::linear(observe(quant_attn_output, heads), module.out_proj->weight, module.out_proj->bias));
  const at::Tensor weights = observe(quant_attn_output_weights, head_weights);
  if (!need_weights) return {output, at::Tensor()};
  return {output, average_attn_weights ? weights.mean(1) : weights};
}

}  // namespace octet::nn::quantizable
