// What quantize_dynamic() is for: linear maps, and recurrent networks over a sequence.

#include "dynamic_case.h"

#include <octet/octet.h>

#include <fmt/format.h>
#include <torch/torch.h>

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

}  // namespace bench
