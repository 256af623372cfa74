// A case of dynamic quantization: the network in float, quantized with one scale for all activations of a call, with one for
// each row, and with 4-bit weights in groups of 128, each with a scale and a zero point.
#pragma once

#include "cases.h"
#include "measures.h"

#include <octet/octet.h>

#include <torch/torch.h>

#include <string>
#include <utility>
#include <vector>

namespace bench {

/// @param forward  computes the output of a network of that type
template <class Net, class Forward>
std::vector<Implementation> dynamic_implementations(Net net, const Forward& forward) {
  const torch::NoGradGuard no_grad;
  net->eval();
  std::vector<Implementation> all;
  const at::Tensor reference = forward(net);
  const Work work = count_work(*net, [&] { forward(net); });
  const auto add = [&](const char* name, Net model, double bytes_per_weight) {
    const auto run = [model, forward] {
      const torch::NoGradGuard without_gradients;
      return forward(Net(model));  // a holder that is const gives a module that is
    };
    all.push_back({name, run, sqnr_db(reference, run()), saved_bytes(*model), work, bytes_per_weight});
  };
  const auto per_row = octet::QConfigMapping()
                           .set_object_type<octet::nn::Linear>(octet::per_row_dynamic_qconfig)
                           .template set_object_type<octet::nn::LSTM>(octet::per_row_dynamic_qconfig)
                           .template set_object_type<octet::nn::GRU>(octet::per_row_dynamic_qconfig);
  add("octet_fp32", net, 4);
  add("octet_int8", octet::quantize_dynamic(net), 1);
  add("octet_int8_row", octet::quantize_dynamic(net, per_row), 1);
  add("octet_int4", octet::quantize_dynamic(net, octet::QConfigMapping(octet::int4_weight_only_qconfig(128))), 0.5 + 5.0 / 128);
  return all;
}

/// Of random weights and a random input, of the usual distributions.
template <class Make>
Case dynamic_case(std::string name, const Make& make, std::vector<int64_t> input) {
  return {std::move(name), [make, input] {
            torch::manual_seed(1);
            auto net = make();
            return dynamic_implementations(net, [x = torch::randn(input)](auto model) { return model->forward(x); });
          }};
}

}  // namespace bench
