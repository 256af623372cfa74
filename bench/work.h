// How much a network computes, counted in a forward: what its time is measured against.
#pragma once

#include <torch/nn/module.h>

#include <functional>

namespace bench {

/// Of the modules with weights: Linear, Conv2d, Conv3d, ConvTranspose2d, LSTM and GRU. What is computed without weights, as
/// attention's scores, and lookups in embeddings do not count.
struct Work {
  double macs = 0;          ///< multiply-adds of the plain products, whatever algorithm computes them
  double weights = 0;       ///< numbers in the weight matrices that take part
  double weights_read = 0;  ///< likewise, each as often as it is read: recurrent weights at every step
};

/// @param model    a float network of octet::nn's modules
/// @param forward  runs it once
Work count_work(torch::nn::Module& model, const std::function<void()>& forward);

}  // namespace bench
