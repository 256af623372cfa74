#include <octet/nn/quantizable_lstm.h>

#include <nn/lstm_recurrence.h>

#include <ATen/ops/add.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include <functional>

namespace octet::nn::quantizable {
namespace {

/// The arithmetic of one cell in floats.
struct ObservedCell {
  at::Tensor weight_ih, weight_hh, bias_ih, bias_hh;
  std::function<at::Tensor(CellPart, const at::Tensor&)> observe;

  static void check_input(const at::Tensor& state, const char* name) {
    check(state.defined(), ModulePathScope::current(), ": got an undefined tensor for the state ", name);
  }
  at::Tensor zeros(at::IntArrayRef sizes) const { return at::zeros(sizes, weight_hh.options().requires_grad(false)); }

  at::Tensor project(const at::Tensor& x) const { return at::linear(x, weight_ih, bias_ih); }
  at::Tensor igates(const at::Tensor& projected) const { return observe(CellPart::igates, projected); }
  at::Tensor hgates(const at::Tensor& h) const { return observe(CellPart::hgates, at::linear(h, weight_hh, bias_hh)); }
  at::Tensor add(CellPart part, const at::Tensor& a, const at::Tensor& b) const { return observe(part, at::add(a, b)); }
  at::Tensor mul(CellPart part, const at::Tensor& a, const at::Tensor& b) const { return observe(part, at::mul(a, b)); }
  at::Tensor sigmoid(const at::Tensor& gate) const { return at::sigmoid(gate); }
  at::Tensor tanh_of_gate(const at::Tensor& gate) const { return at::tanh(gate); }
  at::Tensor tanh_of_state(const at::Tensor& c) const { return at::tanh(c); }
};

}  // namespace

std::shared_ptr<LSTMImpl> LSTMImpl::from_float(const torch::nn::LSTMImpl& module, const QConfig& qconfig,
                                               const std::string& path) {
  std::vector<std::string> parts;
  for_each_cell(RecurrentOptions::from(module.options, path), [&](const std::string& prefix, int64_t) {
    for (const char* const part : kCellParts) parts.push_back(prefix + part);
  });
  return std::make_shared<LSTMImpl>(parts, qconfig.activation);
}

LSTMImpl::Result LSTMImpl::forward(torch::nn::Module& float_module, const at::Tensor& input, Hidden hx) {
  const auto& lstm = dynamic_cast<const torch::nn::LSTMImpl&>(float_module);
  const RecurrentOptions options = RecurrentOptions::from(lstm.options, std::string(ModulePathScope::current()));
  const std::vector<at::Tensor> weights = lstm.all_weights();
  const size_t stride = options.bias ? 4 : 2;
  std::vector<ObservedCell> cells;
  for (size_t first = 0; first < weights.size(); first += stride) {
    const size_t index = cells.size();
    const auto bias = [&](size_t i) { return options.bias ? weights[first + i] : at::Tensor(); };
    cells.push_back(
        {weights[first], weights[first + 1], bias(2), bias(3), [this, index](CellPart part, const at::Tensor& result) {
           return observe(index * kCellParts.size() + static_cast<size_t>(part), result);
         }});
  }
  return run_lstm(options, cells, input, hx);
}

}  // namespace octet::nn::quantizable
