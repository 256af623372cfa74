#include <octet/kernels/attention.h>
#include <octet/kernels/elementwise.h>
#include <octet/kernels/layer_norm.h>
#include <octet/tensor/parallel.h>
#include <octet/tensor/quantized_tensor.h>
#include <octet/tensor/transformer.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <vector>

namespace octet {
namespace {

/// Whether the kernels can stand in for ATen. Undefined tensors have no say.
bool are_plain_floats(std::initializer_list<at::Tensor> tensors) {
  const bool records = at::GradMode::is_enabled();
  return std::ranges::all_of(tensors, [&](const at::Tensor& tensor) {
    return !tensor.defined() ||
           (tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided &&
            !is_quantized(tensor) && !(records && tensor.requires_grad()));
  });
}

/// The sizes, if the kernel takes the tensors.
std::optional<kernels::AttentionSizes> attention_sizes(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  if (!are_plain_floats({q, k, v}) || q.dim() != 4 || k.dim() != 4 || v.dim() != 4) return std::nullopt;
  const kernels::AttentionSizes sizes{q.size(0), q.size(1), q.size(2), k.size(2), q.size(3), v.size(3)};
  const bool fit = k.sizes() == at::IntArrayRef({sizes.batch, sizes.heads, sizes.keys, sizes.dim}) &&
                   v.sizes() == at::IntArrayRef({sizes.batch, sizes.heads, sizes.keys, sizes.value_dim});
  return fit && q.numel() > 0 && k.numel() > 0 && v.numel() > 0 ? std::optional(sizes) : std::nullopt;
}

/// A mask as floats of the scores' sizes, some of whose strides may be 0; undefined if the kernel does not take it.
at::Tensor score_bias(const at::Tensor& mask, const kernels::AttentionSizes& sizes) {
  at::Tensor bias = mask;
  if (mask.device().is_cpu() && mask.scalar_type() == at::kBool) {
    bias = at::where(mask, 0.0f, -std::numeric_limits<float>::infinity());
  }
  const std::vector<int64_t> scores{sizes.batch, sizes.heads, sizes.queries, sizes.keys};
  return are_plain_floats({bias}) && bias.dim() >= 2 && at::is_expandable_to(bias.sizes(), scores) ? bias.expand(scores)
                                                                                                   : at::Tensor();
}

/// With rows in one piece.
at::Tensor with_whole_rows(const at::Tensor& x) { return x.stride(-1) == 1 ? x : x.contiguous(); }

kernels::Heads<const float> heads_of(const at::Tensor& x) {
  return {x.const_data_ptr<float>(), x.stride(0), x.stride(1), x.stride(2)};
}

}  // namespace

at::Tensor scaled_dot_product_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                        const std::optional<at::Tensor>& attn_mask, std::optional<double> scale) {
  const bool has_mask = attn_mask && attn_mask->defined();
  const auto sizes = attention_sizes(q, k, v);
  const at::Tensor bias = sizes && has_mask ? score_bias(*attn_mask, *sizes) : at::Tensor();
  if (!sizes || (has_mask && !bias.defined())) {
    return at::scaled_dot_product_attention(q, k, v, attn_mask, /*dropout_p=*/0.0, /*is_causal=*/false, scale);
  }
  kernels::AttentionBias added;
  if (has_mask) added = {bias.const_data_ptr<float>(), bias.stride(0), bias.stride(1), bias.stride(2), bias.stride(3)};
  const at::Tensor queries = with_whole_rows(q), keys = with_whole_rows(k), values = with_whole_rows(v);
  const at::Tensor out = at::empty({sizes->batch, sizes->queries, sizes->heads, sizes->value_dim}, q.options()).transpose(1, 2);
  kernels::attention(*sizes, heads_of(queries), heads_of(keys), heads_of(values), added,
                     static_cast<float>(scale.value_or(1 / std::sqrt(static_cast<double>(sizes->dim)))),
                     {out.data_ptr<float>(), out.stride(0), out.stride(1), out.stride(2)}, parallel_for);
  return out;
}

at::Tensor gelu(const at::Tensor& x) {
  if (!are_plain_floats({x}) || !x.is_contiguous()) return at::gelu(x);
  at::Tensor y = at::empty_like(x);
  kernels::gelu(x.const_data_ptr<float>(), x.numel(), y.data_ptr<float>(), parallel_for);
  return y;
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight, const at::Tensor& bias,
                      double eps) {
  const int64_t columns = x.dim() > 0 ? x.size(-1) : 0;
  const auto is_row = [&](const at::Tensor& tensor) {
    return tensor.defined() && tensor.is_contiguous() && tensor.numel() == columns;
  };
  const bool fit = are_plain_floats({x, residual, weight, bias}) && is_row(weight) && is_row(bias) && x.is_contiguous() &&
                   x.numel() > 0 && (!residual.defined() || (residual.is_contiguous() && residual.sizes() == x.sizes()));
  if (!fit) return at::layer_norm(residual.defined() ? x + residual : x, {columns}, weight, bias, eps);
  at::Tensor y = at::empty_like(x);
  kernels::Matrix<const float> added;
  if (residual.defined()) added = {residual.const_data_ptr<float>(), columns};
  kernels::layer_norm({x.const_data_ptr<float>(), columns}, residual.defined() ? &added : nullptr, x.numel() / columns, columns,
                      static_cast<float>(eps), weight.const_data_ptr<float>(), bias.const_data_ptr<float>(),
                      {y.data_ptr<float>(), columns}, parallel_for);
  return y;
}

}  // namespace octet
