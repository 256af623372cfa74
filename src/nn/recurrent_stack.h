// The layers of dynamically quantized LSTM and GRU, and the cells.
#pragma once

#include <octet/nn/linear_packed_params.h>

#include <nn/recurrent_options.h>

#include <torch/nn/utils/rnn.h>

#include <string>
#include <utility>
#include <vector>

namespace octet::nn::quantized {

/// What one kind of recurrent cell is.
struct CellKind {
  const char* name;
  int64_t gates;   ///< how many times hidden_size columns its two products have
  int64_t states;  ///< 1: h; 2: h and c
  /// One step for `rows` rows, in place on their states ([rows][hidden], contiguous; c is null where there is none).
  void (*step)(int64_t rows, int64_t hidden, const float* x_gates, const float* h_gates, float* h, float* c);
};

extern const CellKind kLstm, kGru, kRnnTanh, kRnnRelu;

/// The hidden states, one tensor for each: {h} or {h, c}.
using States = std::vector<at::Tensor>;

/// The two linear maps of a cell: x_gates = ih(x), h_gates = hh(h).
struct CellParams {
  LinearPackedParams ih, hh;

  /// The parameters named weight_ih<suffix>, weight_hh<suffix>, bias_ih<suffix>, bias_hh<suffix>.
  static CellParams from_float(const StateDict& parameters, const std::string& suffix, const QConfig& qconfig,
                               const std::string& path);
  static CellParams from_state(const StateDict& state, const std::string& suffix, const std::string& path);
  void append_to(StateDict& state, const std::string& suffix) const;
  int64_t weight_bytes() const { return ih.weight_bytes() + hh.weight_bytes(); }

  /// @throws Error unless the shapes are those of a cell of this kind, and dtype and biases are alike
  void check_shapes(const CellKind& kind, int64_t input_size, int64_t hidden_size, const std::string& path) const;
};

/// A cell by itself: LSTMCell, GRUCell, RNNCell.
class RecurrentCell {
 public:
  RecurrentCell(const CellKind& kind, CellParams params, LinearPackedParams::ActivationQParams activation)
      : kind_(kind), params_(std::move(params)), activation_(activation) {}

  const CellKind& kind() const { return kind_; }
  const CellParams& params() const { return params_; }
  const LinearPackedParams::ActivationQParams& activation() const { return activation_; }
  int64_t input_size() const { return params_.ih.in_features(); }
  int64_t hidden_size() const { return params_.hh.in_features(); }

  /// @param input   [batch, input_size] or [input_size]
  /// @param states  of the same leading dimensions; empty for zeros
  States forward(const at::Tensor& input, const States& states) const;

 private:
  const CellKind& kind_;
  CellParams params_;
  LinearPackedParams::ActivationQParams activation_;
};

/// Layers of cells that run over sequences, in one direction or both.
class RecurrentStack {
 public:
  /// @param parameters  under torch's names: weight_ih_l0, weight_hh_l0_reverse, ...
  static RecurrentStack from_float(const CellKind& kind, const RecurrentOptions& options, const StateDict& parameters,
                                   const QConfig& qconfig, const std::string& path);
  static RecurrentStack from_state(const CellKind& kind, const StateDict& state, const Attributes& attributes,
                                   const std::string& path);

  const RecurrentOptions& options() const { return options_; }
  StateDict state_dict() const;
  Attributes attributes() const;
  int64_t weight_bytes() const;
  DType dtype() const { return cells_.front().params().ih.dtype(); }
  bool per_row() const { return cells_.front().activation().per_row; }

  /// @param input     [time, batch, input_size], with batch_first [batch, time, input_size]; or [time, input_size]
  /// @param states    [layers * directions, batch, hidden_size] each, without `batch` if the input has none; empty for zeros
  /// @param training  whether dropout is active
  /// @return the output, as the input with directions * hidden_size columns, and the last states
  std::pair<at::Tensor, States> forward(const at::Tensor& input, const States& states, bool training) const;
  std::pair<torch::nn::utils::rnn::PackedSequence, States> forward_packed(const torch::nn::utils::rnn::PackedSequence& input,
                                                                          const States& states, bool training) const;

 private:
  RecurrentStack(const CellKind& kind, const RecurrentOptions& options) : kind_(kind), options_(options) {}
  int64_t directions() const { return options_.directions(); }

  /// Calls visit(suffix, input size) for each cell: all directions of a layer, then the next layer.
  template <class Visit>
  void for_each_cell(const Visit& visit) const;

  /// Makes all cells, each of make_params(suffix). @throws Error unless they have the shapes and biases of the options
  template <class MakeParams>
  void add_cells(const MakeParams& make_params, const LinearPackedParams::ActivationQParams& activation, const std::string& path);

  /// @param data         [sum of batch_sizes, input_size], contiguous: the rows of each time step together
  /// @param batch_sizes  how many sequences still run at each step, not increasing
  /// @param states       changed in place
  at::Tensor run(at::Tensor data, const std::vector<int64_t>& batch_sizes, States& states, bool training) const;

  const CellKind& kind_;
  RecurrentOptions options_;
  std::vector<RecurrentCell> cells_;
};

}  // namespace octet::nn::quantized
