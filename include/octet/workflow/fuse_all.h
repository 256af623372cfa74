#pragma once

#include <octet/workflow/clone_model.h>
#include <octet/workflow/fuser_method_mappings.h>
#include <octet/workflow/report.h>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace octet {

namespace detail {
/// @param run  runs the model; what it returned lives as long as the pointer
Report fuse_all(torch::nn::Module& model, const std::function<std::shared_ptr<void>()>& run, const FuserMethodMappings& mappings);
}  // namespace detail

/// Finds by itself what can be fused, by watching a forward pass, and fuses it in place as fuse_modules() does, the longest known
/// sequences first. Two modules follow each other if every output of the first is the input of the second and of nothing else:
/// not of a function, not returned or kept; and if the second takes no other input. A module that is used at several places is
/// joined to one before it only if that one is used with it at all of them. Hooks that would be lost prevent it too.
///
/// What is seen is that pass: of branches that it does not take nothing is known, nor of reads through data pointers. Modules are
/// slots, or of torch::nn in a Sequential; functions (torch::relu) are not fused, but reported. For post-training quantization,
/// in eval mode.
/// @param run  called once as run(model), in this thread and without gradients; it does one forward pass, or several
/// @return a row for each module of a class that the mappings mention: fused, or kept and why
/// @throws Error for a model in training mode, and whatever `run` throws. The model is then as it was.
template <std::derived_from<torch::nn::Module> Model, class Run>
  requires std::invocable<const Run&, Model&>
Report fuse_all(Model& model, const Run& run, const FuserMethodMappings& mappings = default_fuser_method_mappings()) {
  using Result = std::decay_t<std::invoke_result_t<const Run&, Model&>>;
  const auto run_and_hold = [&]() -> std::shared_ptr<void> {
    if constexpr (std::is_void_v<Result>) {
      run(model);
      return nullptr;
    } else {
      return std::make_shared<Result>(run(model));
    }
  };
  return detail::fuse_all(model, run_and_hold, mappings);
}

/// The same with model.forward(sample).
template <std::derived_from<torch::nn::Module> Model>
Report fuse_all(Model& model, const at::Tensor& sample, const FuserMethodMappings& mappings = default_fuser_method_mappings()) {
  return fuse_all(model, [&](Model& target) { return target.forward(sample); }, mappings);
}

/// The same for a shared_ptr to a model or a module holder.
/// @param sample_or_run  a tensor for forward, or what runs the model, called with a Model
/// @param inplace        false: the model stays as it is and a fused clone is returned
template <ModelPointer Model, class SampleOrRun>
Model fuse_all(const Model& model, const SampleOrRun& sample_or_run, bool inplace = false,
               const FuserMethodMappings& mappings = default_fuser_method_mappings(), Report* report = nullptr) {
  return detail::on_model_or_clone(model, inplace, report, [&](Model& result) {
    if constexpr (std::invocable<const SampleOrRun&, Model&>) {
      return fuse_all(*result, [&](auto&) { return sample_or_run(result); }, mappings);
    } else {
      return fuse_all(*result, sample_or_run, mappings);
    }
  });
}

}  // namespace octet
