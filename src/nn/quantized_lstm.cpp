#include <octet/nn/quantizable_lstm.h>
#include <octet/nn/quantized_linear.h>
#include <octet/nn/quantized_lstm.h>
#include <octet/tensor/functional.h>
#include <octet/tensor/lookup_table.h>
#include <octet/tensor/quantized_tensor.h>

#include <nn/lstm_recurrence.h>
#include <nn/state_parts.h>
#include <tensor/quantizer_of_results.h>

#include <ATen/ops/full.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>

#include <ostream>

namespace octet::nn::quantized {
namespace {

using CellOutputs = std::array<OutputQParams, kCellParts.size()>;

at::Tensor sigmoid_of(const at::Tensor& values) { return at::sigmoid(values); }
at::Tensor tanh_of(const at::Tensor& values) { return at::tanh(values); }

/// The arithmetic of one cell in integers.
class QuantizedCell {
 public:
  QuantizedCell(std::shared_ptr<LinearImpl> igates, std::shared_ptr<LinearImpl> hgates, const CellOutputs& outputs)
      : igates_(std::move(igates)),
        hgates_(std::move(hgates)),
        outputs_(outputs),
        sigmoid_(output(CellPart::gates).quantizer(), zero_to_one(dtype()), sigmoid_of),
        tanh_of_gate_(output(CellPart::gates).quantizer(), minus_one_to_one(dtype()), tanh_of),
        tanh_of_state_(output(CellPart::fgate_cx_igate_cgate).quantizer(), minus_one_to_one(dtype()), tanh_of) {}

  const OutputQParams& output(CellPart part) const { return outputs_[static_cast<size_t>(part)]; }
  DType dtype() const { return output(CellPart::gates).dtype; }
  int64_t weight_bytes() const { return igates_->weight_bytes() + hgates_->weight_bytes(); }

  void append_to(StateDict& state, const std::string& prefix) const {
    append_part(state, prefix + "igates.", igates_->state_dict());
    append_part(state, prefix + "hgates.", hgates_->state_dict());
    for (size_t part = static_cast<size_t>(CellPart::gates); part < kCellParts.size(); ++part) {
      append_part(state, prefix + kCellParts[part] + ".", outputs_[part].state_dict());
    }
  }

  // What run_lstm() asks for.
  static void check_input(const at::Tensor& state, const char* name) { check_quantized_activation(state, name); }
  at::Tensor zeros(at::IntArrayRef sizes) const {
    return make_per_tensor_quantized(at::full(sizes, 0, at::TensorOptions(info(dtype()).storage)), 1.0, 0);
  }
  at::Tensor project(const at::Tensor& x) const { return igates_->forward(x); }
  at::Tensor igates(const at::Tensor& projected) const { return projected; }
  at::Tensor hgates(const at::Tensor& h) const { return hgates_->forward(h); }
  at::Tensor add(CellPart part, const at::Tensor& a, const at::Tensor& b) const {
    const OutputQParams& qparams = output(part);
    return clamp_to_range(quantized_add(a, b, qparams.scale, qparams.zero_point), qparams);
  }
  at::Tensor mul(CellPart part, const at::Tensor& a, const at::Tensor& b) const {
    const OutputQParams& qparams = output(part);
    return clamp_to_range(quantized_mul(a, b, qparams.scale, qparams.zero_point), qparams);
  }
  at::Tensor sigmoid(const at::Tensor& gate) const { return sigmoid_.apply(gate); }
  at::Tensor tanh_of_gate(const at::Tensor& gate) const { return tanh_of_gate_.apply(gate); }
  at::Tensor tanh_of_state(const at::Tensor& c) const { return tanh_of_state_.apply(c); }

 private:
  std::shared_ptr<LinearImpl> igates_, hgates_;
  CellOutputs outputs_;
  LookupTable sigmoid_, tanh_of_gate_, tanh_of_state_;
};

/// @throws Error unless one of the two products of a cell has the shape and the bias that the options ask for
void check_product(const LinearImpl& product, int64_t in_features, const RecurrentOptions& options, const std::string& path) {
  // Divided, as a product with a size from a file may overflow.
  check(product.out_features() % 4 == 0 && product.out_features() / 4 == options.hidden_size &&
            product.in_features() == in_features,
        path, ": got a weight of shape [", product.out_features(), ", ", product.in_features(), "], expected [4 * ",
        options.hidden_size, ", ", in_features, "]");
  check(product.bias().defined() == options.bias, path, ": the tensor \"bias\" is ",
        options.bias ? "missing" : "there, but the module has no biases");
}

}  // namespace

struct LSTMImpl::Layers {
  RecurrentOptions options;
  std::vector<QuantizedCell> cells;
};

std::shared_ptr<LSTMImpl> LSTMImpl::from_float(const torch::nn::LSTMImpl& module, const QConfig& qconfig,
                                               const std::string& path) {
  const auto observed = observed_form_of<quantizable::LSTMImpl>(module, path);
  auto layers = std::make_shared<Layers>();
  layers->options = RecurrentOptions::from(module.options, path);
  const std::vector<at::Tensor> weights = module.all_weights();
  auto weight = weights.begin();
  for_each_cell(layers->options, [&](const std::string& prefix, int64_t) {
    CellOutputs outputs;
    for (size_t part = 0; part < kCellParts.size(); ++part) outputs[part] = observed->output(prefix + kCellParts[part], path);
    const auto product = [&](CellPart part) {
      const auto index = static_cast<int64_t>(part);
      return LinearImpl::from_weight(weight[index], layers->options.bias ? weight[2 + index] : at::Tensor(), qconfig,
                                     outputs[index], path + "." + prefix + kCellParts[index]);
    };
    layers->cells.emplace_back(product(CellPart::igates), product(CellPart::hgates), outputs);
    weight += layers->options.bias ? 4 : 2;
  });
  return std::make_shared<LSTMImpl>(std::move(layers));
}

std::shared_ptr<LSTMImpl> LSTMImpl::from_state(const StateDict& state, const Attributes& attributes, const std::string& path) {
  auto layers = std::make_shared<Layers>();
  const RecurrentOptions& options = layers->options = RecurrentOptions::from_attributes(attributes, path);
  for_each_cell(options, [&](const std::string& prefix, int64_t in_features) {
    const StateDict own = part_of(state, prefix);
    const auto product = [&](CellPart part, int64_t columns) {
      const std::string name = kCellParts[static_cast<size_t>(part)], where = path + "." + prefix + name;
      auto linear = LinearImpl::from_state(part_of(own, name + "."), attributes, where);
      check_product(*linear, columns, options, where);
      return linear;
    };
    auto igates = product(CellPart::igates, in_features), hgates = product(CellPart::hgates, options.hidden_size);
    CellOutputs outputs;
    for (size_t part = 0; part < kCellParts.size(); ++part) {
      const std::string name = kCellParts[part];
      outputs[part] = OutputQParams::from(part_of(own, name + "."), attributes, path + "." + prefix + name);
    }
    layers->cells.emplace_back(std::move(igates), std::move(hgates), outputs);
  });
  return std::make_shared<LSTMImpl>(std::move(layers));
}

LSTMImpl::Result LSTMImpl::forward(const at::Tensor& input, Hidden hx) {
  check_quantized_activation(input, "the input");
  return run_lstm(layers_->options, layers_->cells, input, hx);
}

LSTMImpl::PackedResult LSTMImpl::forward_with_packed_input(const torch::nn::utils::rnn::PackedSequence&, Hidden) {
  nn::detail::refuse_packed_input(*this);
}

StateDict LSTMImpl::state_dict() const {
  StateDict state;
  auto cell = layers_->cells.begin();
  for_each_cell(layers_->options, [&](const std::string& prefix, int64_t) { (cell++)->append_to(state, prefix); });
  return state;
}

Attributes LSTMImpl::attributes() const {
  Attributes attributes = layers_->options.attributes();
  layers_->cells.front().output(CellPart::gates).append_to(attributes);
  return attributes;
}

int64_t LSTMImpl::weight_bytes() const {
  int64_t bytes = 0;
  for (const QuantizedCell& cell : layers_->cells) bytes += cell.weight_bytes();
  return bytes;
}

void LSTMImpl::pretty_print(std::ostream& stream) const { stream << kKind << "(" << layers_->options << ")"; }

}  // namespace octet::nn::quantized
