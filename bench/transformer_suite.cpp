// Transformers' encoders, dynamically quantized.

#include "dynamic_case.h"

#include <octet/octet.h>

#include <torch/torch.h>

namespace bench {
namespace {

namespace nn = octet::nn;

/// A layer of BERT's encoder, its norms after the sums.
struct BertLayerImpl : torch::nn::Cloneable<BertLayerImpl> {
  BertLayerImpl() { reset(); }
  void reset() override {
    for (auto& [name, linear] : std::initializer_list<std::pair<const char*, nn::Linear*>>{
             {"query", &query}, {"key", &key}, {"value", &value}, {"output", &output}}) {
      *linear = register_module(name, nn::Linear(kWidth, kWidth));
    }
    fc1 = register_module("fc1", nn::Linear(kWidth, 4 * kWidth));
    fc2 = register_module("fc2", nn::Linear(4 * kWidth, kWidth));
    norm1 = register_module("norm1", nn::LayerNorm(torch::nn::LayerNormOptions({kWidth}).eps(1e-12)));
    norm2 = register_module("norm2", nn::LayerNorm(torch::nn::LayerNormOptions({kWidth}).eps(1e-12)));
  }
  at::Tensor forward(const at::Tensor& x) {
    const auto heads = [](const at::Tensor& t) { return t.view({t.size(0), t.size(1), kHeads, -1}).transpose(1, 2); };
    const at::Tensor attention =
        at::scaled_dot_product_attention(heads(query->forward(x)), heads(key->forward(x)), heads(value->forward(x)));
    const at::Tensor y = norm1->forward(x + output->forward(attention.transpose(1, 2).reshape(x.sizes())));
    return norm2->forward(y + fc2->forward(at::gelu(fc1->forward(y))));
  }

  static constexpr int64_t kWidth = 768, kHeads = 12;
  nn::Linear query{nullptr}, key{nullptr}, value{nullptr}, output{nullptr}, fc1{nullptr}, fc2{nullptr};
  nn::LayerNorm norm1{nullptr}, norm2{nullptr};
};
TORCH_MODULE(BertLayer);

}  // namespace

Suite transformer_suite() {
  return {"transformer", {dynamic_case("bert_layer_s128_b1", [] { return BertLayer(); }, {1, 128, BertLayerImpl::kWidth})}};
}

}  // namespace bench
