#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>

#include <nn/attention.h>

#include <ATen/ops/bmm.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/softmax.h>

#include <limits>
#include <vector>

namespace octet::nn {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

/// uint8 counts as bool, as in torch.
at::Tensor mask_of(const at::Tensor& mask) {
  return mask.defined() && mask.scalar_type() == at::kByte ? mask.to(at::kBool) : mask;
}

/// As many columns as there are keys: those that were added beside the caller's are for all to see.
at::Tensor padded(const at::Tensor& mask, int64_t columns) { return at::constant_pad_nd(mask, {0, columns - mask.size(-1)}, 0); }

/// [length, batch, embed_dim] -> [batch * heads, length, head_dim]
at::Tensor split_heads(const at::Tensor& x, int64_t heads) {
  return x.contiguous().view({x.size(0), x.size(1) * heads, x.size(2) / heads}).transpose(0, 1);
}

}  // namespace

std::array<Projection, 3> input_projections(const torch::nn::MultiheadAttentionImpl& module) {
  const int64_t embed_dim = module.options.embed_dim();
  const auto part = [&](const at::Tensor& whole, int64_t index) {
    return whole.defined() ? whole.narrow(0, index * embed_dim, embed_dim) : at::Tensor();
  };
  const at::Tensor own[] = {module.q_proj_weight, module.k_proj_weight, module.v_proj_weight};
  std::array<Projection, 3> projections;
  for (int64_t i = 0; i < 3; ++i) {
    projections[i] = {module._qkv_same_embed_dim ? part(module.in_proj_weight, i) : own[i], part(module.in_proj_bias, i)};
  }
  return projections;
}

AttentionCall AttentionCall::checked(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                     const at::Tensor& key_padding_mask, const at::Tensor& attn_mask, int64_t embed_dim,
                                     int64_t kdim, int64_t vdim, int64_t num_heads) {
  const std::string_view path = ModulePathScope::current();
  check(query.dim() == 3 && query.size(2) == embed_dim, path, ": got a query of shape ", query.sizes(),
        ", expected [target length, batch, ", embed_dim, "]");
  const int64_t length = query.size(0), batch = query.size(1);
  const auto check_source = [&](const at::Tensor& tensor, const char* name, int64_t features) {
    check(tensor.dim() == 3 && tensor.size(1) == batch && tensor.size(2) == features, path, ": got a ", name, " of shape ",
          tensor.sizes(), ", expected [source length, ", batch, ", ", features, "]");
  };
  check_source(key, "key", kdim);
  check_source(value, "value", vdim);
  const int64_t source = key.size(0);
  check(value.size(0) == source, path, ": got ", source, " keys but ", value.size(0), " values");

  AttentionCall call{length, batch, source, mask_of(key_padding_mask), mask_of(attn_mask)};
  if (call.key_padding_mask.defined()) {
    check(call.key_padding_mask.scalar_type() == at::kBool && call.key_padding_mask.sizes() == at::IntArrayRef({batch, source}),
          path, ": got a key_padding_mask of ", key_padding_mask.scalar_type(), " and shape ", key_padding_mask.sizes(),
          ", expected bool, [", batch, ", ", source, "]");
  }
  if (call.attn_mask.defined()) {
    check(call.attn_mask.scalar_type() == at::kBool || call.attn_mask.is_floating_point(), path, ": got an attn_mask of ",
          attn_mask.scalar_type(), ", expected bool or a floating point type");
    if (call.attn_mask.dim() == 2) call.attn_mask = call.attn_mask.unsqueeze(0);
    const at::IntArrayRef sizes = call.attn_mask.sizes();
    check(sizes == at::IntArrayRef({1, length, source}) || sizes == at::IntArrayRef({batch * num_heads, length, source}), path,
          ": got an attn_mask of shape ", attn_mask.sizes(), ", expected [", length, ", ", source, "] or [", batch * num_heads,
          ", ", length, ", ", source, "]");
  }
  return call;
}

std::pair<at::Tensor, at::Tensor> attend(const AttentionCall& call, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                         int64_t num_heads, bool add_zero_attn, double dropout) {
  const auto with_zeros = [&](const at::Tensor& heads) {
    return add_zero_attn ? at::constant_pad_nd(heads, {0, 0, 0, 1}) : heads;
  };
  const at::Tensor keys = with_zeros(split_heads(k, num_heads)), values = with_zeros(split_heads(v, num_heads));
  at::Tensor weights = at::bmm(split_heads(q, num_heads), keys.transpose(1, 2));
  const int64_t source = weights.size(2);
  const std::vector<int64_t> by_head{call.batch, num_heads, call.target_length, source};
  if (call.attn_mask.defined()) {
    const at::Tensor mask = padded(call.attn_mask, source);
    weights =
        mask.scalar_type() == at::kBool ? weights.masked_fill(mask, kMinusInfinity) : weights + mask.to(weights.scalar_type());
  }
  if (call.key_padding_mask.defined()) {
    const at::Tensor mask = padded(call.key_padding_mask, source).view({call.batch, 1, 1, source});
    weights = weights.view(by_head).masked_fill(mask, kMinusInfinity).view(weights.sizes());
  }
  weights = at::dropout(at::softmax(weights, -1), dropout, /*train=*/dropout > 0);
  const at::Tensor output = at::bmm(weights, values).transpose(0, 1).reshape({call.target_length, call.batch, q.size(2)});
  return {output, weights.view(by_head)};
}

}  // namespace octet::nn
