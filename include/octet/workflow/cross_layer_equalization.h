#pragma once

#include <octet/workflow/clone_model.h>
#include <octet/workflow/fuse_modules.h>
#include <octet/workflow/report.h>

#include <torch/nn/module.h>

#include <utility>

namespace octet {

/// Lists of module paths that follow each other, as in fuse_modules(): {{"conv1", "depthwise", "conv2"}, {"fc1", "fc2"}}.
using PairedModulesList = ModulesToFuse;

/// Before prepare(): scales the output channels of each weight and, inversely, the input channels of the next one, until both
/// have the same range, and what the model computes stays the same. Channels of very different ranges, as depthwise convolutions
/// have them, are what one scale for a whole weight cannot serve. Nagel et al. 2019 (arXiv 1906.04721, section 4.1),
/// torch.ao.quantization._equalize.equalize. For a channel of range r1 in the first weight and r2 in the second:
///   s = sqrt(r1 / r2);  weight1 /= s;  bias1 /= s;  weight2 *= s
/// A range holds 0, as quantization does (in torch.ao it need not). Channels without range, all of whose weights are 0, stay.
///
/// A list names Linears and convolutions, also grouped, depthwise or transposed, alone or fused with a ReLU or LeakyReLU; between
/// them it may name what is there, which is then checked: ReLU, LeakyReLU, PReLU, Dropout, pools. Not named and thus not checked:
/// that really nothing else is between them, and that nobody else reads these activations. Batch norms are folded first
/// (fuse_modules).
/// @param threshold  it ends when no factor s is farther than that from 1, or after 1000 rounds
/// @return a row for each module whose weight was scaled
/// @throws Error for unknown paths, for modules that a scale does not pass (ReLU6), for channels that do not fit, for a weight in
///         two lists at the same side, for a prepared or converted model. The model is then as it was.
Report equalize(torch::nn::Module& model, const PairedModulesList& paired_modules_list, double threshold = 1e-4);

/// The same for a shared_ptr to a model or a module holder.
/// @param inplace  false: the model stays as it is and an equalized clone is returned
template <ModelPointer Model>
Model equalize(const Model& model, const PairedModulesList& paired_modules_list, double threshold = 1e-4, bool inplace = false,
               Report* report = nullptr) {
  return detail::on_model_or_clone(model, inplace, report,
                                   [&](Model& result) { return equalize(*result, paired_modules_list, threshold); });
}

}  // namespace octet
