#include <octet/nn/attributes.h>
#include <octet/nn/quantizable_multihead_attention.h>
#include <octet/nn/quantized_linear.h>
#include <octet/nn/quantized_multihead_attention.h>
#include <octet/tensor/functional.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <nn/attention.h>
#include <nn/state_parts.h>

#include <ATen/ops/cat.h>

#include <cmath>
#include <ostream>

namespace octet::nn::quantized {

struct MultiheadAttentionImpl::Parts {
  int64_t num_heads = 1;
  bool add_zero_attn = false;
  double dropout = 0;
  std::shared_ptr<LinearImpl> linear_Q, linear_K, linear_V, out_proj;
  OutputQParams attn_output, attn_output_weights;
  at::Tensor bias_k, bias_v;  // [1, 1, embed_dim], quantized as linear_K and linear_V quantize their results, or undefined

  int64_t embed_dim() const { return linear_Q->out_features(); }
};

namespace {

template <class Parts, class Visit>
void for_each_projection(Parts& parts, const Visit& visit) {
  visit("linear_Q", parts.linear_Q);
  visit("linear_K", parts.linear_K);
  visit("linear_V", parts.linear_V);
  visit("out_proj", parts.out_proj);
}

template <class Parts, class Visit>
void for_each_stub(Parts& parts, const Visit& visit) {
  visit("quant_attn_output", parts.attn_output);
  visit("quant_attn_output_weights", parts.attn_output_weights);
}

template <class Parts, class Visit>
void for_each_bias(Parts& parts, const Visit& visit) {
  visit("bias_k.int_repr", parts.bias_k, parts.linear_K->output());
  visit("bias_v.int_repr", parts.bias_v, parts.linear_V->output());
}

/// @throws Error unless the projections fit each other and the heads
void check_shapes(const MultiheadAttentionImpl::Parts& parts, const std::string& path) {
  const int64_t embed_dim = parts.embed_dim();
  check(parts.num_heads > 0 && embed_dim % parts.num_heads == 0, path, ": got ", parts.num_heads,
        " heads for embed_dim = ", embed_dim, ", which they do not divide");
  for_each_projection(parts, [&](const char* name, const auto& linear) {
    const bool takes_any_width = linear == parts.linear_K || linear == parts.linear_V;
    check(linear->out_features() == embed_dim && (takes_any_width || linear->in_features() == embed_dim), path, ".", name,
          ": got a weight of shape [", linear->out_features(), ", ", linear->in_features(), "], expected [", embed_dim, ", ",
          takes_any_width ? "any" : c10::str(embed_dim), "]");
  });
}

}  // namespace

std::shared_ptr<MultiheadAttentionImpl> MultiheadAttentionImpl::from_float(const torch::nn::MultiheadAttentionImpl& module,
                                                                           const QConfig& qconfig, const std::string& path) {
  const auto observed = observed_form_of<quantizable::MultiheadAttentionImpl>(module, path);
  auto parts = std::make_shared<Parts>();
  parts->num_heads = module.options.num_heads();
  parts->add_zero_attn = module.options.add_zero_attn();
  parts->dropout = module.options.dropout();
  const auto inputs = input_projections(module);
  const Projection projections[] = {inputs[0], inputs[1], inputs[2], {module.out_proj->weight, module.out_proj->bias}};
  auto projection = std::begin(projections);
  for_each_projection(*parts, [&](const std::string& name, auto& linear) {
    const auto& [weight, bias] = *projection++;
    linear = LinearImpl::from_weight(weight, bias, qconfig, observed->output(name, path), path + "." + name);
  });
  for_each_stub(*parts, [&](const std::string& name, OutputQParams& output) { output = observed->output(name, path); });
  const auto quantized = [](const at::Tensor& bias, const LinearImpl& linear) {
    return bias.defined() ? quantize_activation(bias.detach().to(at::kFloat), linear.output()) : at::Tensor();
  };
  parts->bias_k = quantized(module.bias_k, *parts->linear_K);
  parts->bias_v = quantized(module.bias_v, *parts->linear_V);
  return std::make_shared<MultiheadAttentionImpl>(std::move(parts));
}

std::shared_ptr<MultiheadAttentionImpl> MultiheadAttentionImpl::from_state(const StateDict& state, const Attributes& attributes,
                                                                           const std::string& path) {
  auto parts = std::make_shared<Parts>();
  parts->num_heads = attribute<int64_t>(attributes, "num_heads", path);
  parts->add_zero_attn = attribute<bool>(attributes, "add_zero_attn", path);
  parts->dropout = attribute<double>(attributes, "dropout", path);
  check(parts->dropout >= 0 && parts->dropout <= 1, path, ": the attribute \"dropout\" is ", parts->dropout, ", expected 0 .. 1");
  for_each_projection(*parts, [&](const std::string& name, auto& linear) {
    linear = LinearImpl::from_state(part_of(state, name + "."), attributes, path + "." + name);
  });
  check_shapes(*parts, path);
  for_each_stub(*parts, [&](const std::string& name, OutputQParams& output) {
    output = OutputQParams::from(part_of(state, name + "."), attributes, path + "." + name);
  });
  for_each_bias(*parts, [&](const std::string& name, at::Tensor& bias, const OutputQParams& output) {
    const at::Tensor* const integers = state.find(name);
    if (!integers) return;
    const at::ScalarType dtype = info(output.dtype).storage;
    check(integers->scalar_type() == dtype && integers->sizes() == at::IntArrayRef({1, 1, parts->embed_dim()}), path, ": \"",
          name, "\" is a ", integers->scalar_type(), " tensor of shape ", integers->sizes(), ", expected ", dtype, " and [1, 1, ",
          parts->embed_dim(), "]");
    bias = make_per_tensor_quantized(*integers, output.scale, output.zero_point);
  });
  check(parts->bias_k.defined() == parts->bias_v.defined(), path, ": got only one of bias_k and bias_v, expected both or none");
  return std::make_shared<MultiheadAttentionImpl>(std::move(parts));
}

std::tuple<at::Tensor, at::Tensor> MultiheadAttentionImpl::forward(const at::Tensor& query, const at::Tensor& key,
                                                                   const at::Tensor& value, const at::Tensor& key_padding_mask,
                                                                   bool need_weights, const at::Tensor& attn_mask,
                                                                   bool average_attn_weights) {
  const Parts& parts = *parts_;
  for (const auto& [input, name] : {std::pair(query, "the query"), {key, "the key"}, {value, "the value"}}) {
    check_quantized_activation(input, name);
  }
  const AttentionCall call =
      AttentionCall::checked(query, key, value, key_padding_mask, attn_mask, parts.embed_dim(), parts.linear_K->in_features(),
                             parts.linear_V->in_features(), parts.num_heads);
  const auto with_bias = [&](const at::Tensor& x, const at::Tensor& bias) {
    return octet::dequantize(bias.defined() ? at::cat({x, bias.expand({1, call.batch, -1})}) : x);
  };
  const double scaling = 1 / std::sqrt(static_cast<double>(parts.embed_dim() / parts.num_heads));
  const at::Tensor q = octet::dequantize(quantized_mul_scalar(parts.linear_Q->forward(query), scaling));
  const at::Tensor k = with_bias(parts.linear_K->forward(key), parts.bias_k);
  const at::Tensor v = with_bias(parts.linear_V->forward(value), parts.bias_v);
  const auto [heads, head_weights] =
      attend(call, q, k, v, parts.num_heads, parts.add_zero_attn, this->is_training() ? parts.dropout : 0);
  const at::Tensor output = parts.out_proj->forward(quantize_activation(heads, parts.attn_output));
  if (!need_weights) return {output, at::Tensor()};
  const at::Tensor weights = quantize_activation(head_weights, parts.attn_output_weights);
  return {output, average_attn_weights ? weights.mean(1) : weights};
}

StateDict MultiheadAttentionImpl::state_dict() const {
  StateDict state;
  for_each_projection(*parts_,
                      [&](const std::string& name, const auto& linear) { append_part(state, name + ".", linear->state_dict()); });
  for_each_stub(*parts_, [&](const std::string& name, const OutputQParams& output) {
    append_part(state, name + ".", output.state_dict());
  });
  for_each_bias(*parts_, [&](const std::string& name, const at::Tensor& bias, const OutputQParams&) {
    if (bias.defined()) state.insert(name, octet::int_repr(bias));
  });
  return state;
}

Attributes MultiheadAttentionImpl::attributes() const {
  Attributes attributes{{"num_heads", parts_->num_heads}, {"add_zero_attn", parts_->add_zero_attn}, {"dropout", parts_->dropout}};
  parts_->attn_output.append_to(attributes);
  return attributes;
}

int64_t MultiheadAttentionImpl::weight_bytes() const {
  int64_t bytes = 0;
  for_each_projection(*parts_, [&](const char*, const auto& linear) { bytes += linear->weight_bytes(); });
  for_each_bias(*parts_,
                [&](const char*, const at::Tensor& bias, const OutputQParams&) { bytes += bias.defined() ? bias.numel() : 0; });
  return bytes;
}

void MultiheadAttentionImpl::pretty_print(std::ostream& stream) const {
  stream << std::boolalpha << kKind << "(embed_dim=" << parts_->embed_dim() << ", num_heads=" << parts_->num_heads
         << ", kdim=" << parts_->linear_K->in_features() << ", vdim=" << parts_->linear_V->in_features()
         << ", add_bias_kv=" << parts_->bias_k.defined() << ", add_zero_attn=" << parts_->add_zero_attn << ")";
}

}  // namespace octet::nn::quantized
