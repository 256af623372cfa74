// What quantize_dynamic() is for: linear maps, recurrent networks over a sequence, and a layer of a transformer's encoder.
// Weights and inputs are random, of the usual distributions.

#include "cases.h"
#include "measures.h"

#include <octet/octet.h>

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>

namespace bench {
namespace {

namespace nn = octet::nn;

struct LinearNetImpl : torch::nn::Cloneable<LinearNetImpl> {
  LinearNetImpl(int64_t in, int64_t out) : in(in), out(out) { reset(); }
  void reset() override { fc = register_module("fc", nn::Linear(in, out)); }
  at::Tensor forward(const at::Tensor& x) { return fc->forward(x); }

  int64_t in, out;
  nn::Linear fc{nullptr};
};
TORCH_MODULE(LinearNet);

/// An LSTM or GRU of which the output sequence is taken, sequence first.
template <class Recurrent, class Options>
struct RecurrentNet : torch::nn::Cloneable<RecurrentNet<Recurrent, Options>> {
  RecurrentNet(int64_t in, int64_t hidden, int64_t layers) : options(Options(in, hidden).num_layers(layers)) { reset(); }
  void reset() override { rnn = this->register_module("rnn", Recurrent(options)); }
  at::Tensor forward(const at::Tensor& x) { return std::get<0>(rnn->forward(x)); }

  Options options;
  Recurrent rnn{nullptr};
};
using LSTMNetImpl = RecurrentNet<nn::LSTM, torch::nn::LSTMOptions>;
TORCH_MODULE(LSTMNet);
using GRUNetImpl = RecurrentNet<nn::GRU, torch::nn::GRUOptions>;
TORCH_MODULE(GRUNet);

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

template <class Net>
std::vector<Implementation> build(Net net, const at::Tensor& x) {
  const torch::NoGradGuard no_grad;
  net->eval();
  std::vector<Implementation> all;
  const at::Tensor reference = net->forward(x);
  const auto add = [&](const char* name, Net model) {
    const auto run = [model, x] {
      const torch::NoGradGuard without_gradients;
      return Net(model)->forward(x);  // a holder that is const gives a module that is
    };
    all.push_back({name, run, sqnr_db(reference, run()), saved_bytes(*model)});
  };
  const auto per_row = octet::QConfigMapping()
                           .set_object_type<nn::Linear>(octet::per_row_dynamic_qconfig)
                           .template set_object_type<nn::LSTM>(octet::per_row_dynamic_qconfig)
                           .template set_object_type<nn::GRU>(octet::per_row_dynamic_qconfig);
  add("octet_fp32", net);
  add("octet_int8", octet::quantize_dynamic(net));
  add("octet_int8_row", octet::quantize_dynamic(net, per_row));
  return all;
}

template <class Make>
Case dynamic_case(std::string name, const Make& make, std::vector<int64_t> input) {
  return {std::move(name), [make, input] {
            torch::manual_seed(1);
            const auto net = make();
            return build(net, torch::randn(input));
          }};
}

template <class Net>
void add_recurrent(std::vector<Case>& cases, const char* kind, int64_t size, int64_t layers) {
  constexpr int64_t kSteps = 32;
  for (const int64_t batch : {1, 16}) {
    cases.push_back(dynamic_case(fmt::format("{}_{}x{}_l{}_s{}_b{}", kind, size, size, layers, kSteps, batch),
                                 [=] { return Net(size, size, layers); }, {kSteps, batch, size}));
  }
}

}  // namespace

Suite linear_suite() {
  constexpr std::pair<int64_t, int64_t> kShapes[] = {{768, 768}, {768, 3072}, {3072, 768}, {4096, 4096}};
  Suite suite{"linear", {}};
  for (const auto& [in, out] : kShapes) {
    for (const int64_t rows : {1, 16, 128, 512}) {
      suite.cases.push_back(
          dynamic_case(fmt::format("{}x{}_m{}", in, out, rows), [in = in, out = out] { return LinearNet(in, out); }, {rows, in}));
    }
  }
  return suite;
}

Suite lstm_suite() {
  Suite suite{"lstm", {}};
  add_recurrent<LSTMNet>(suite.cases, "lstm", 512, 1);
  add_recurrent<LSTMNet>(suite.cases, "lstm", 1024, 2);
  add_recurrent<GRUNet>(suite.cases, "gru", 512, 1);
  return suite;
}

Suite transformer_suite() {
  return {"transformer", {dynamic_case("bert_layer_s128_b1", [] { return BertLayer(); }, {1, 128, BertLayerImpl::kWidth})}};
}

}  // namespace bench
