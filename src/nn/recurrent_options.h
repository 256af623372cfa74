// The options of LSTM and GRU, and what they say about the shapes of inputs and states.
#pragma once

#include <octet/nn/implementation.h>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace octet::nn {

struct RecurrentOptions {
  int64_t input_size = 0, hidden_size = 0, num_layers = 1;
  bool bias = true, batch_first = false, bidirectional = false;
  double dropout = 0;

  /// @param options  torch::nn::LSTMOptions or GRUOptions. @throws Error for proj_size
  template <class FloatOptions>
  static RecurrentOptions from(const FloatOptions& options, const std::string& path) {
    if constexpr (requires { options.proj_size(); }) check_no_projection(options.proj_size(), path);
    return {options.input_size(),  options.hidden_size(),   options.num_layers(), options.bias(),
            options.batch_first(), options.bidirectional(), options.dropout()};
  }

  /// To and from the attributes of the same names. @throws Error for what is missing or can't be
  Attributes attributes() const;
  static RecurrentOptions from_attributes(const Attributes& attributes, const std::string& path);

  int64_t directions() const { return bidirectional ? 2 : 1; }

  /// An input, [time, batch, input_size], with batch_first [batch, time, input_size], or [time, input_size], as
  /// [time, batch, input_size]. @throws Error, which names the module that runs, for other shapes and for no time steps
  at::Tensor time_major(const at::Tensor& input) const;

  /// An output, [time, batch, features], in the order of the dimensions that `input` has.
  at::Tensor ordered_as(const at::Tensor& input, const at::Tensor& output) const;

  /// The sizes of a hidden state: [layers * directions, batch, hidden_size], without `batch` if the input has none.
  std::vector<int64_t> state_sizes(const at::Tensor& input) const;

  /// "input_size=8, hidden_size=6, ..."
  friend std::ostream& operator<<(std::ostream& stream, const RecurrentOptions& options);

 private:
  static void check_no_projection(int64_t proj_size, const std::string& path);
};

}  // namespace octet::nn
