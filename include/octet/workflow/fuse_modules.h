#pragma once

#include <octet/workflow/clone_model.h>
#include <octet/workflow/fuser_method_mappings.h>
#include <octet/workflow/report.h>

#include <torch/nn/module.h>

#include <concepts>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace octet {

/// Lists of module paths, in the order in which they follow each other: {{"conv1", "bn1", "relu1"}, {"fc", "relu2"}}. One list
/// may be given as it is: {"conv1", "bn1", "relu1"}.
class ModulesToFuse : public std::vector<std::vector<std::string>> {
 public:
  ModulesToFuse() = default;
  ModulesToFuse(std::initializer_list<std::vector<std::string>> lists) : vector(lists) {}
  ModulesToFuse(std::vector<std::vector<std::string>> lists) : vector(std::move(lists)) {}  // NOLINT: implicit, as all of these
  ModulesToFuse(std::vector<std::string> list) : ModulesToFuse({std::move(list)}) {}        // NOLINT

  /// One list. No initializer_list of strings, which would also read {{"conv1", "bn1"}} as a string between two pointers.
  template <std::convertible_to<std::string>... Paths>
    requires(sizeof...(Paths) > 1)
  ModulesToFuse(const Paths&... paths) : ModulesToFuse(std::vector<std::string>{paths...}) {}  // NOLINT
};

/// Makes one module of each list, in place: the slot of the first computes for all, the others become Identity, so forward need
/// not change. A batch norm is folded into the weights before it, which takes eval mode; a ReLU becomes part of the module.
/// torch.ao.quantization.fuse_modules, by default for its sequences and (Linear, BatchNorm1d, ReLU):
///   Conv1d|2d|3d, BatchNorm    Conv1d|2d|3d, BatchNorm, ReLU    Conv1d|2d|3d, ReLU    ConvTranspose1d|2d|3d, BatchNorm
///   Linear, BatchNorm1d        Linear, BatchNorm1d, ReLU        Linear, ReLU          BatchNorm2d|3d, ReLU
/// Forward pre-hooks of the first module stay and forward hooks of the last one move to the first, as in torch.ao. What hooks
/// between them saw is no longer computed: they are gone, and the report says so.
/// @param mappings  which sequences, and how: torch.ao's additional_fuser_method_mapping is a copy of the default with more in it
/// @return a row for each module that was fused
/// @throws Error that names the modules, their classes and what was expected: unknown paths or sequences, training mode, a batch
///         norm without running statistics or of another size, a module in two lists or already fused, a module that cannot be
///         swapped. The model is then as it was.
Report fuse_modules(torch::nn::Module& model, const ModulesToFuse& modules_to_fuse,
                    const FuserMethodMappings& mappings = default_fuser_method_mappings());

/// The same for a shared_ptr to a model or a module holder.
/// @param inplace  false: the model stays as it is and a fused clone is returned
template <ModelPointer Model>
Model fuse_modules(const Model& model, const ModulesToFuse& modules_to_fuse, bool inplace = false,
                   const FuserMethodMappings& mappings = default_fuser_method_mappings(), Report* report = nullptr) {
  return detail::on_model_or_clone(model, inplace, report,
                                   [&](Model& result) { return fuse_modules(*result, modules_to_fuse, mappings); });
}

/// The same for quantization-aware training: a batch norm is not folded but becomes the child `bn` of the slot that computes,
/// with its own tensors, and goes on learning. torch.ao.quantization.fuse_modules_qat, by default for its sequences, (Linear,
/// BatchNorm1d, ReLU) and ConvTranspose1d|2d|3d with BatchNorm.
/// @throws Error as fuse_modules, but for eval mode in place of training mode, and for a batch norm that is not affine
Report fuse_modules_qat(torch::nn::Module& model, const ModulesToFuse& modules_to_fuse,
                        const FuserMethodMappings& mappings = default_qat_fuser_method_mappings());

template <ModelPointer Model>
Model fuse_modules_qat(const Model& model, const ModulesToFuse& modules_to_fuse, bool inplace = false,
                       const FuserMethodMappings& mappings = default_qat_fuser_method_mappings(), Report* report = nullptr) {
  return detail::on_model_or_clone(model, inplace, report,
                                   [&](Model& result) { return fuse_modules_qat(*result, modules_to_fuse, mappings); });
}

}  // namespace octet
