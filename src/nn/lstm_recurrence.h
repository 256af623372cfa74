// The recurrence of torch.ao's quantizable LSTM, written once for the two arithmetics that it has: observed floats, and integers.
#pragma once

#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>

#include <nn/recurrent_options.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace octet::nn {

/// The results inside of a cell that have a scale and zero point of their own.
enum class CellPart : uint8_t { igates, hgates, gates, fgate_cx, igate_cgate, fgate_cx_igate_cgate, ogate_cy };

/// torch.ao's names for them, in the same order.
inline constexpr std::array kCellParts{"igates",  "hgates", "gates", "fgate_cx", "igate_cgate", "fgate_cx_igate_cgate",
                                       "ogate_cy"};

/// Calls visit(prefix, in_features) for each cell: all directions of a layer, then the next layer. The names of a cell's parts
/// begin with the prefix.
template <class Visit>
void for_each_cell(const RecurrentOptions& options, const Visit& visit) {
  for (int64_t layer = 0; layer < options.num_layers; ++layer) {
    const int64_t in_features = layer ? options.directions() * options.hidden_size : options.input_size;
    visit(c10::str("layers.", layer, ".layer_fw.cell."), in_features);
    if (options.bidirectional) visit(c10::str("layers.", layer, ".layer_bw.cell."), in_features);
  }
}

/// One number for each hidden unit: [batch, hidden_size].
struct CellState {
  at::Tensor h, c;
};

/// One time step.
/// @param cell     an arithmetic: the two products, add and mul with the part that their result is, sigmoid and tanh
/// @param x_gates  cell.igates of this step
template <class Cell>
CellState lstm_step(const Cell& cell, const at::Tensor& x_gates, const CellState& state) {
  const auto gates = cell.add(CellPart::gates, x_gates, cell.hgates(state.h)).chunk(4, 1);
  const at::Tensor input_gate = cell.sigmoid(gates[0]), forget_gate = cell.sigmoid(gates[1]);
  const at::Tensor cell_gate = cell.tanh_of_gate(gates[2]), output_gate = cell.sigmoid(gates[3]);
  const at::Tensor c = cell.add(CellPart::fgate_cx_igate_cgate, cell.mul(CellPart::fgate_cx, forget_gate, state.c),
                                cell.mul(CellPart::igate_cgate, input_gate, cell_gate));
  return {cell.mul(CellPart::ogate_cy, output_gate, cell.tanh_of_state(c)), c};
}

/// One cell over all time steps of x, [time, batch, features]. @return its hidden states, [time, batch, hidden_size], and the
/// last
template <class Cell>
std::pair<at::Tensor, CellState> run_cell(const Cell& cell, const at::Tensor& x, CellState state, bool reverse) {
  const int64_t steps = x.size(0);
  std::vector<at::Tensor> outputs(steps);
  const at::Tensor x_gates = cell.project(x);  // of all steps at once
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t time = reverse ? steps - 1 - i : i;
    state = lstm_step(cell, cell.igates(x_gates[time]), state);
    outputs[time] = state.h;
  }
  return {at::stack(outputs), state};
}

/// All cells. Where tensors of several cells are joined and those are quantized, the result has the scale and zero point of the
/// first one, as in torch.ao.
template <class Cell>
std::tuple<at::Tensor, std::tuple<at::Tensor, at::Tensor>> run_lstm(const RecurrentOptions& options,
                                                                    const std::vector<Cell>& cells, const at::Tensor& input,
                                                                    const std::optional<std::tuple<at::Tensor, at::Tensor>>& hx) {
  at::Tensor x = options.time_major(input);
  const std::vector<int64_t> sizes = options.state_sizes(input), row_sizes{x.size(1), options.hidden_size};
  const auto initial = [&](const at::Tensor& given, size_t index) { return given[static_cast<int64_t>(index)].view(row_sizes); };
  if (hx) {
    for (const auto& [state, name] : {std::pair(std::get<0>(*hx), "h"), {std::get<1>(*hx), "c"}}) {
      Cell::check_input(state, name);
      check(state.sizes() == sizes, ModulePathScope::current(), ": got a state ", name, " of shape ", state.sizes(),
            ", expected ", at::IntArrayRef(sizes));
    }
  }
  std::vector<at::Tensor> h, c;
  for (int64_t layer = 0; layer < options.num_layers; ++layer) {
    std::vector<at::Tensor> outputs;
    for (int64_t direction = 0; direction < options.directions(); ++direction) {
      const size_t index = h.size();
      const Cell& cell = cells[index];
      const CellState first = hx ? CellState{initial(std::get<0>(*hx), index), initial(std::get<1>(*hx), index)}
                                 : CellState{cell.zeros(row_sizes), cell.zeros(row_sizes)};
      const auto [output, last] = run_cell(cell, x, first, direction == 1);
      outputs.push_back(output);
      h.push_back(last.h);
      c.push_back(last.c);
    }
    x = outputs.size() == 1 ? outputs.front() : at::cat(outputs, 2);
  }
  return {options.ordered_as(input, x), {at::stack(h).view(sizes), at::stack(c).view(sizes)}};
}

}  // namespace octet::nn
