#pragma once

#include <octet/tensor/error.h>
#include <octet/workflow/report.h>

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace octet {

/// A shared_ptr to a module, or a module holder as TORCH_MODULE makes it.
template <class Model>
concept ModelPointer = requires(const Model& model) {
  { *model } -> std::convertible_to<const torch::nn::Module&>;
} && !std::derived_from<Model, torch::nn::Module>;

/// A deep copy of a model whose children keep their names (torch::nn::Sequential's own clone numbers them anew).
/// @throws Error if a module cannot be cloned, and says what to do
std::shared_ptr<torch::nn::Module> clone_module(const torch::nn::Module& model);

template <ModelPointer Model>
Model clone_model(const Model& model) {
  using Class = std::remove_cvref_t<decltype(*model)>;
  auto copy = std::dynamic_pointer_cast<Class>(clone_module(*model));
  check(copy != nullptr, "the clone of the model is of another class than the model; override clone() in it");
  return Model(std::move(copy));
}

namespace detail {

/// The form of a workflow that takes a pointer to a model: `work(result)` does it, to the model or to a clone, and reports.
template <ModelPointer Model, std::invocable<Model&> Work>
Model on_model_or_clone(const Model& model, bool inplace, Report* report, const Work& work) {
  Model result = inplace ? model : clone_model(model);
  Report done = work(result);
  if (report) *report = std::move(done);
  return result;
}

}  // namespace detail
}  // namespace octet
