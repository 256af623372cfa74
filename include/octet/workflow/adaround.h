#pragma once

#include <octet/workflow/clone_model.h>
#include <octet/workflow/report.h>

#include <torch/arg.h>
#include <torch/nn/module.h>

#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace octet {

/// How far adaround() is.
struct AdaRoundProgress {
  std::string path;  ///< the layer that is being learned
  int64_t layer;     ///< 0 .. layers - 1
  int64_t layers;
  int64_t iteration;  ///< done in this layer, 1 .. iterations
  int64_t iterations;
};

/// What adaround() can be told. The defaults are those of the paper, save for the number of iterations (there 10000) and the
/// weight of the regularization, which counts relative to the error here.
class AdaRoundOptions {
 public:
  /// Steps of Adam for each layer. @throws Error unless positive, as for batch_size
  TORCH_ARG(int64_t, iterations) = 1000;
  /// How many samples a step sees, drawn at random.
  TORCH_ARG(int64_t, batch_size) = 32;
  TORCH_ARG(double, learning_rate) = 1e-2;
  /// Lambda, the weight of the regularization.
  TORCH_ARG(double, regularization) = 10;
  /// The exponent of the regularization falls from the first to the second.
  TORCH_ARG(double, beta_start) = 20;
  TORCH_ARG(double, beta_end) = 2;
  /// The part of the iterations that runs without regularization; 0 to 1.
  TORCH_ARG(double, warm_start) = 0.2;
  /// Of the samples that are drawn. Equal seeds give equal weights, at one number of threads.
  TORCH_ARG(uint64_t, seed) = 0;
  /// Called after each iteration.
  TORCH_ARG(std::function<void(const AdaRoundProgress&)>, progress);
};

/// Between calibration and convert(): learns for each weight whether to round it up or down, so that the outputs of its layer
/// change least. AdaRound, Nagel et al. 2020 (arXiv 2004.10568). Layer by layer it minimizes
///   |f(W x + b) - f(W~ x' + b)|^2 / (the same with W rounded to nearest)  +  lambda * mean(1 - |2 h(V) - 1|^beta)
///   W~ = scale * (floor(W / scale) + h(V)),  h(V) = clamp(1.2 * sigmoid(V) - 0.1, 0, 1)
/// by Adam, where f is the activation that is fused to the layer, x its input in the float model and x' the one in the model
/// whose weights up to this layer are rounded. (In the paper both terms are sums; here neither depends on the sizes of layers and
/// values.) The float weight then becomes the value of its integer, from which convert() makes exactly this integer. Weights at
/// the ends of the range that their scale is made from stay, and so does the scale. A layer that does not gain stays too.
///
/// Changed are the Linears and convolutions, fused or not, whose weights convert() quantizes to int8, with an observer whose
/// scale depends on the lowest and the highest weight alone (as all default ones do). Observers see nothing of the runs.
/// @param run_fn  runs `model` on calibration data, the same in each call; called twice for each layer, and once more. The inputs
///                and outputs of one layer at a time are held in memory, for all of it.
/// @return a row for each Linear and convolution: adjusted, or kept and why, in the order in which they run
/// @throws Error for a model that is not prepared, not calibrated or in training mode, for weight observers that would find
///         another scale for the rounded weights, and whatever run_fn and progress throw. The model is then as it was.
Report adaround(torch::nn::Module& model, const std::function<void()>& run_fn, const AdaRoundOptions& options = {});

/// The same for a shared_ptr to a model or a module holder.
/// @param run_fn   called with the model that it is to run
/// @param inplace  false: the model stays as it is and a rounded clone is returned
template <ModelPointer Model, std::invocable<Model&> Run>
Model adaround(const Model& model, const Run& run_fn, const AdaRoundOptions& options = {}, bool inplace = false,
               Report* report = nullptr) {
  return detail::on_model_or_clone(model, inplace, report,
                                   [&](Model& result) { return adaround(*result, [&] { run_fn(result); }, options); });
}

}  // namespace octet
