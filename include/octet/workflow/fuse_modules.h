#pragma once

#include <octet/workflow/clone_model.h>
#include <octet/workflow/report.h>

#include <torch/nn/module.h>

#include <string>
#include <vector>

namespace octet {

/// Lists of module paths, in the order in which they follow each other: {{"conv1", "bn1", "relu1"}, {"fc", "relu2"}}.
using ModulesToFuse = std::vector<std::vector<std::string>>;

/// Makes one module of each list, in place: the slot of the first computes for all, the others become Identity, so forward need
/// not change. A batch norm is folded into the weights before it; a ReLU becomes part of the module. torch.ao.quantization.
/// fuse_modules (and Linear, BatchNorm1d, ReLU beyond it), for these sequences (in eval mode where there is a batch norm):
///   Conv1d|2d|3d, BatchNorm    Conv1d|2d|3d, BatchNorm, ReLU    Conv1d|2d|3d, ReLU    ConvTranspose1d|2d|3d, BatchNorm
///   Linear, BatchNorm1d        Linear, BatchNorm1d, ReLU        Linear, ReLU              BatchNorm2d|3d, ReLU
/// Hooks stay where they are; they see what flows there now.
/// @return a row for each module that was fused
/// @throws Error that names the modules, their classes and what was expected: unknown paths or sequences, training mode, a batch
///         norm without running statistics or of another size, a module in two lists or already fused, a module that cannot be
///         swapped. The model is then as it was.
Report fuse_modules(torch::nn::Module& model, const ModulesToFuse& modules_to_fuse);

/// @param inplace  false: the model stays as it is and a fused clone is returned
template <ModelPointer Model>
Model fuse_modules(const Model& model, const ModulesToFuse& modules_to_fuse, bool inplace = false, Report* report = nullptr) {
  Model result = inplace ? model : clone_model(model);
  Report done = fuse_modules(*result, modules_to_fuse);
  if (report) *report = std::move(done);
  return result;
}

}  // namespace octet
