// Watches a forward pass: where the outputs of modules go.
#pragma once

#include <torch/nn/module.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace octet {

/// What was seen of one module in a forward pass. Modules are indices into nn::module_sites(model).
struct ModuleUse {
  bool ran = false;
  bool is_unary = true;               ///< each call took one tensor and returned one
  std::set<size_t> inputs_from;       ///< the modules whose outputs it took
  bool has_other_inputs = false;      ///< it also took tensors that no module returned
  std::set<size_t> read_by;           ///< the modules that took its outputs
  std::set<std::string> functions;    ///< what else read them: "aten::add"
  bool output_outlives_pass = false;  ///< somebody holds one after the pass: it was returned, or kept
};

/// Watches what `run` does with a model. Seen are slots, and modules of torch::nn in a Sequential where a slot can stand in for
/// them meanwhile; the model is then as it was, also when `run` throws. Without gradients.
/// @param run  runs the model in this thread; what the model returned lives as long as the pointer
/// @throws Error if the model runs its modules in other threads
std::vector<ModuleUse> watch_forward(torch::nn::Module& model, const std::function<std::shared_ptr<void>()>& run);

}  // namespace octet
