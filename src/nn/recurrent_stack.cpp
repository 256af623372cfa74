#include <octet/kernels/recurrent.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/parallel.h>

#include <nn/activation_checks.h>
#include <nn/recurrent_stack.h>

#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>

namespace octet::nn::quantized {
namespace {

using kernels::Matrix;

void lstm_step(int64_t rows, int64_t hidden, const float* x_gates, const float* h_gates, float* h, float* c) {
  kernels::lstm_cell(rows, hidden, {x_gates, 4 * hidden}, {h_gates, 4 * hidden}, {c, hidden}, {c, hidden}, {h, hidden},
                     parallel_for);
}

void gru_step(int64_t rows, int64_t hidden, const float* x_gates, const float* h_gates, float* h, float*) {
  kernels::gru_cell(rows, hidden, {x_gates, 3 * hidden}, {h_gates, 3 * hidden}, {h, hidden}, {h, hidden}, parallel_for);
}

template <kernels::RnnNonlinearity nonlinearity>
void rnn_step(int64_t rows, int64_t hidden, const float* x_gates, const float* h_gates, float* h, float*) {
  kernels::rnn_cell(rows, hidden, nonlinearity, {x_gates, hidden}, {h_gates, hidden}, {h, hidden}, parallel_for);
}

at::Tensor parameter(const StateDict& parameters, const std::string& name) {
  const at::Tensor* const found = parameters.find(name);
  return found ? *found : at::Tensor();
}

/// States to be changed in place: copies of those given, or zeros.
States own_states(const States& given, int64_t count, at::IntArrayRef sizes) {
  States states;
  for (int64_t i = 0; i < count; ++i) {
    if (given.empty()) {
      states.push_back(at::zeros(sizes, at::kFloat));
      continue;
    }
    check_float_activation(given[i], "hx");
    check(given[i].sizes() == sizes, ModulePathScope::current(), ": got a hidden state of shape ", given[i].sizes(),
          ", expected ", sizes);
    states.push_back(given[i].detach().clone(at::MemoryFormat::Contiguous));
  }
  return states;
}

/// Runs one cell over all steps; writes its hidden states beside each other into `out`.
/// @param h, c  [batch][hidden], in place; rows beyond a step's batch size keep what they have, which for sequences that have
///              ended is their last state, and for those that a reverse run has not reached yet their first
void run_cell(const RecurrentCell& cell, const at::Tensor& data, const std::vector<int64_t>& batch_sizes, bool reverse, float* h,
              float* c, Matrix<float> out) {
  const int64_t hidden = cell.hidden_size(), columns = cell.kind().gates * hidden, batch = batch_sizes.front();
  const at::Tensor x_gates = at::empty({data.size(0), columns}, data.options());
  const at::Tensor h_gates = at::empty({batch, columns}, data.options());
  float* const x = x_gates.data_ptr<float>();
  cell.params().ih.apply(data.const_data_ptr<float>(), data.size(0), cell.activation(), /*relu=*/false, x);

  LinearPackedParams::Scratch scratch;
  const auto steps = static_cast<int64_t>(batch_sizes.size());
  int64_t row = reverse ? data.size(0) : 0;
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t rows = batch_sizes[reverse ? steps - 1 - i : i];
    if (reverse) row -= rows;
    cell.params().hh.apply(h, rows, cell.activation(), /*relu=*/false, h_gates.data_ptr<float>(), scratch);
    cell.kind().step(rows, hidden, x + row * columns, h_gates.const_data_ptr<float>(), h, c);
    for (int64_t r = 0; r < rows; ++r) std::copy_n(h + r * hidden, hidden, out.row(row + r));
    if (!reverse) row += rows;
  }
}

}  // namespace

const CellKind kLstm{"LSTM", 4, 2, lstm_step};
const CellKind kGru{"GRU", 3, 1, gru_step};
const CellKind kRnnTanh{"RNN", 1, 1, rnn_step<kernels::RnnNonlinearity::tanh>};
const CellKind kRnnRelu{"RNN", 1, 1, rnn_step<kernels::RnnNonlinearity::relu>};

CellParams CellParams::from_float(const StateDict& parameters, const std::string& suffix, const QConfig& qconfig,
                                  const std::string& path) {
  const auto quantize = [&](const std::string& which) {
    return LinearPackedParams::from_float(parameter(parameters, "weight_" + which + suffix),
                                          parameter(parameters, "bias_" + which + suffix), qconfig,
                                          path + ": weight_" + which + suffix);
  };
  return {quantize("ih"), quantize("hh")};
}

CellParams CellParams::from_state(const StateDict& state, const std::string& suffix, const std::string& path) {
  const auto rebuild = [&](const std::string& which) {
    return LinearPackedParams::from_state_dict(state, "weight_" + which + suffix, "bias_" + which + suffix, path);
  };
  return {rebuild("ih"), rebuild("hh")};
}

void CellParams::append_to(StateDict& state, const std::string& suffix) const {
  ih.append_to(state, "weight_ih" + suffix, "bias_ih" + suffix);
  hh.append_to(state, "weight_hh" + suffix, "bias_hh" + suffix);
}

void CellParams::check_shapes(const CellKind& kind, int64_t input_size, int64_t hidden_size, const std::string& path) const {
  const auto check_map = [&](const LinearPackedParams& map, const char* which, int64_t in_features) {
    // Divided, as a product with a size from a file may overflow.
    check(map.out_features() % kind.gates == 0 && map.out_features() / kind.gates == hidden_size &&
              map.in_features() == in_features,
          path, ": got a weight_", which, " of shape [", map.out_features(), ", ", map.in_features(), "], expected [", kind.gates,
          " * ", hidden_size, ", ", in_features, "] for a ", kind.name);
  };
  check_map(ih, "ih", input_size);
  check_map(hh, "hh", hidden_size);
  check(ih.dtype() == hh.dtype(), path, ": got weights of the dtypes ", ih.dtype(), " and ", hh.dtype(), ", expected one dtype");
  check(ih.bias().defined() == hh.bias().defined(), path, ": got only one of bias_ih and bias_hh, expected both or none");
}

States RecurrentCell::forward(const at::Tensor& input, const States& states) const {
  check_float_activation(input, "the input");
  check((input.dim() == 1 || input.dim() == 2) && input.size(-1) == input_size(), ModulePathScope::current(),
        ": got an input of shape ", input.sizes(), ", expected [batch, ", input_size(), "] or [", input_size(), "]");
  std::vector<int64_t> sizes = input.sizes().vec();
  sizes.back() = hidden_size();
  States next = own_states(states, kind_.states, sizes);
  const at::Tensor x = input.detach().contiguous();
  const int64_t rows = input.dim() == 2 ? input.size(0) : 1, columns = kind_.gates * hidden_size();
  const at::Tensor x_gates = at::empty({rows, columns}, x.options()), h_gates = at::empty({rows, columns}, x.options());
  float* const h = next[0].data_ptr<float>();
  params_.ih.apply(x.const_data_ptr<float>(), rows, activation_, /*relu=*/false, x_gates.data_ptr<float>());
  params_.hh.apply(h, rows, activation_, /*relu=*/false, h_gates.data_ptr<float>());
  kind_.step(rows, hidden_size(), x_gates.const_data_ptr<float>(), h_gates.const_data_ptr<float>(), h,
             kind_.states > 1 ? next[1].data_ptr<float>() : nullptr);
  return next;
}

template <class Visit>
void RecurrentStack::for_each_cell(const Visit& visit) const {
  for (int64_t layer = 0; layer < options_.num_layers; ++layer) {
    for (int64_t direction = 0; direction < directions(); ++direction) {
      visit(c10::str("_l", layer, direction ? "_reverse" : ""),
            layer ? directions() * options_.hidden_size : options_.input_size);
    }
  }
}

template <class MakeParams>
void RecurrentStack::add_cells(const MakeParams& make_params, const LinearPackedParams::ActivationQParams& activation,
                               const std::string& path) {
  for_each_cell([&](const std::string& suffix, int64_t input_size) {
    CellParams params = make_params(suffix);
    params.check_shapes(kind_, input_size, options_.hidden_size, path);
    check(params.ih.bias().defined() == options_.bias, path, ": the tensor \"bias_ih", suffix, "\" is ",
          options_.bias ? "missing" : "there, but the module has no biases");
    cells_.emplace_back(kind_, std::move(params), activation);
  });
}

RecurrentStack RecurrentStack::from_float(const CellKind& kind, const RecurrentOptions& options, const StateDict& parameters,
                                          const QConfig& qconfig, const std::string& path) {
  RecurrentStack stack(kind, options);
  stack.add_cells([&](const std::string& suffix) { return CellParams::from_float(parameters, suffix, qconfig, path); },
                  LinearPackedParams::ActivationQParams::from(qconfig, path), path);
  return stack;
}

RecurrentStack RecurrentStack::from_state(const CellKind& kind, const StateDict& state, const Attributes& attributes,
                                          const std::string& path) {
  RecurrentStack stack(kind, RecurrentOptions::from_attributes(attributes, path));
  stack.add_cells([&](const std::string& suffix) { return CellParams::from_state(state, suffix, path); },
                  LinearPackedParams::ActivationQParams::from(attributes, path), path);
  return stack;
}

StateDict RecurrentStack::state_dict() const {
  StateDict state;
  auto cell = cells_.begin();
  for_each_cell([&](const std::string& suffix, int64_t) { (cell++)->params().append_to(state, suffix); });
  return state;
}

Attributes RecurrentStack::attributes() const {
  Attributes attributes = options_.attributes();
  cells_.front().activation().append_to(attributes);
  return attributes;
}

int64_t RecurrentStack::weight_bytes() const {
  return std::accumulate(cells_.begin(), cells_.end(), int64_t{0},
                         [](int64_t sum, const RecurrentCell& cell) { return sum + cell.params().weight_bytes(); });
}

at::Tensor RecurrentStack::run(at::Tensor data, const std::vector<int64_t>& batch_sizes, States& states, bool training) const {
  const int64_t hidden = options_.hidden_size, columns = directions() * hidden;
  auto cell = cells_.begin();
  for (int64_t layer = 0; layer < options_.num_layers; ++layer) {
    const at::Tensor out = at::empty({data.size(0), columns}, data.options());
    for (int64_t direction = 0; direction < directions(); ++direction, ++cell) {
      const int64_t index = layer * directions() + direction;
      const auto state = [&](size_t i) { return i < states.size() ? states[i][index].data_ptr<float>() : nullptr; };
      run_cell(*cell, data, batch_sizes, direction == 1, state(0), state(1),
               {out.data_ptr<float>() + direction * hidden, columns});
    }
    data = layer + 1 < options_.num_layers && training && options_.dropout > 0 ? at::dropout(out, options_.dropout, true) : out;
  }
  return data;
}

std::pair<at::Tensor, States> RecurrentStack::forward(const at::Tensor& input, const States& states, bool training) const {
  check_float_activation(input, "the input");
  const at::Tensor x = options_.time_major(input.detach()).contiguous();
  const int64_t steps = x.size(0), batch = x.size(1);
  States next = own_states(states, kind_.states, options_.state_sizes(input));
  const at::Tensor out = run(x.view({steps * batch, options_.input_size}), std::vector<int64_t>(steps, batch), next, training);
  return {options_.ordered_as(input, out.view({steps, batch, directions() * options_.hidden_size})), next};
}

std::pair<torch::nn::utils::rnn::PackedSequence, States> RecurrentStack::forward_packed(
    const torch::nn::utils::rnn::PackedSequence& input, const States& states, bool training) const {
  const std::string_view path = ModulePathScope::current();
  const at::Tensor &data = input.data(), sizes = input.batch_sizes().to(at::kLong).contiguous();
  check_float_activation(data, "the packed input");
  check(data.dim() == 2 && data.size(1) == options_.input_size, path, ": got packed data of shape ", data.sizes(),
        ", expected [..., ", options_.input_size, "]");
  const std::vector<int64_t> batch_sizes(sizes.const_data_ptr<int64_t>(), sizes.const_data_ptr<int64_t>() + sizes.numel());
  check(!batch_sizes.empty() && batch_sizes.back() > 0 && std::is_sorted(batch_sizes.rbegin(), batch_sizes.rend()) &&
            std::accumulate(batch_sizes.begin(), batch_sizes.end(), int64_t{0}) == data.size(0),
        path, ": the batch sizes of the packed sequence do not fit its ", data.size(0),
        " rows; make it with pack_padded_sequence");
  States next = own_states(states, kind_.states, {options_.num_layers * directions(), batch_sizes.front(), options_.hidden_size});
  const auto reorder = [&](const at::Tensor& indices) {
    if (!indices.defined()) return;
    for (at::Tensor& state : next) state = state.index_select(1, indices);
  };
  reorder(input.sorted_indices());
  const at::Tensor out = run(data.detach().contiguous(), batch_sizes, next, training);
  reorder(input.unsorted_indices());
  return {torch::nn::utils::rnn::PackedSequence(out, input.batch_sizes(), input.sorted_indices(), input.unsorted_indices()),
          next};
}

}  // namespace octet::nn::quantized
