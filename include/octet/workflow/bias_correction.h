#pragma once

#include <octet/workflow/clone_model.h>
#include <octet/workflow/report.h>

#include <torch/nn/module.h>

#include <concepts>
#include <functional>
#include <utility>

namespace octet {

/// Between calibration and convert(): takes what the rounding of the weights adds to the mean of each output channel out of the
/// biases. Empirical bias correction of Nagel et al. 2019 (arXiv 1906.04721, section 4.2), torch.ao's bias_correction:
///   bias += E[W x + b] - E[Q(W) x' + b]
/// per output channel, over all that `run_fn` runs, before the activation; Q(W) is what convert() will make of the weight, x the
/// input in the float model and x' the one in the model whose weights are all quantized, corrected up to this layer.
/// Changed are the Linears and convolutions, fused or not, whose weights convert() quantizes to int8; one without a bias gets it.
/// Observers see nothing of the runs.
/// @param run_fn  runs `model` on calibration data, the same in each call; called once for each layer, and twice more
/// @return a row for each Linear and convolution: adjusted, or kept and why; the adjusted ones in the order in which they run
/// @throws Error for a model that is not prepared, not calibrated or in training mode, and whatever run_fn throws. The model is
///         then as it was.
Report bias_correction(torch::nn::Module& model, const std::function<void()>& run_fn);

/// The same for a shared_ptr to a model or a module holder.
/// @param run_fn   called with the model that it is to run
/// @param inplace  false: the model stays as it is and a corrected clone is returned
template <ModelPointer Model, std::invocable<Model&> Run>
Model bias_correction(const Model& model, const Run& run_fn, bool inplace = false, Report* report = nullptr) {
  return detail::on_model_or_clone(model, inplace, report,
                                   [&](Model& result) { return bias_correction(*result, [&] { run_fn(result); }); });
}

}  // namespace octet
