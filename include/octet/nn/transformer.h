#pragma once

#include <octet/nn/linear_packed_params.h>
#include <octet/nn/modules.h>

#include <ATen/core/Tensor.h>

namespace octet::nn {

/// Says that several linear maps will get the same input, as attention's query, key and value do. While it lives, dynamically
/// quantized ones that this thread calls with that very tensor quantize it once for all of them, as long as they quantize it in
/// the same way; their results are the same bits. In any other model it does nothing.
///
///     const nn::SharedInput shared(x);
///     const at::Tensor q = query->forward(x), k = key->forward(x), v = value->forward(x);
///
/// The tensor's elements must not change meanwhile. Several may live at once.
class SharedInput {
 public:
  explicit SharedInput(const at::Tensor& input);
  ~SharedInput();
  SharedInput(const SharedInput&) = delete;
  SharedInput& operator=(const SharedInput&) = delete;

  /// For implementations: what this thread keeps for that tensor, for LinearPackedParams::apply(); or null.
  static quantized::LinearPackedParams::Scratch* find(const at::Tensor& input);

 private:
  at::Tensor input_;
  quantized::LinearPackedParams::Scratch scratch_;
  SharedInput* outer_;
};

/// norm->forward(x + residual), the end of a transformer's residual connection: in one pass over the memory where the module
/// computes in float, has a weight and a bias, and nobody watches it by a hook or an observer.
at::Tensor add_and_norm(LayerNormImpl& norm, const at::Tensor& x, const at::Tensor& residual);

}  // namespace octet::nn
