#include <octet/nn/transformer.h>
#include <octet/tensor/transformer.h>

namespace octet::nn {
namespace {

thread_local SharedInput* innermost = nullptr;

}  // namespace

SharedInput::SharedInput(const at::Tensor& input) : input_(input), outer_(innermost) {
  scratch_.keep_rows();
  innermost = this;
}

SharedInput::~SharedInput() { innermost = outer_; }

quantized::LinearPackedParams::Scratch* SharedInput::find(const at::Tensor& input) {
  for (SharedInput* shared = innermost; shared; shared = shared->outer_) {
    if (shared->input_.is_same(input)) return &shared->scratch_;
  }
  return nullptr;
}

at::Tensor add_and_norm(LayerNormImpl& norm, const at::Tensor& x, const at::Tensor& residual) {
  const bool is_plain = !norm.implementation() && norm.hooks().size() == 0 && !norm.activation_post_process();
  const bool takes_rows = norm.options.normalized_shape().size() == 1 && x.dim() > 0 &&
                          x.size(-1) == norm.options.normalized_shape()[0] && x.sizes() == residual.sizes();
  return is_plain && takes_rows ? octet::layer_norm(x, residual, norm.weight, norm.bias, norm.options.eps())
                                : norm.forward(x + residual);
}

}  // namespace octet::nn
