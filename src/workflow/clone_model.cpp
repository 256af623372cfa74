#include <octet/nn/module_internals.h>
#include <octet/workflow/clone_model.h>

#include <torch/nn/modules/container/sequential.h>

namespace octet {
namespace {

using nn::detail::ModuleInternals;

/// What the clone() of torch's containers forgets: the names of their children, and that they were in eval mode.
void keep_names_and_mode(torch::nn::Module& source, torch::nn::Module& copy) {
  if (copy.is_training() != source.is_training()) copy.train(source.is_training());
  auto& from = ModuleInternals::children(source);
  auto& to = ModuleInternals::children(copy);
  if (from.size() != to.size()) return;  // a clone() of the user's own
  if (dynamic_cast<torch::nn::SequentialImpl*>(&copy)) {
    std::remove_reference_t<decltype(to)> renamed("Module");
    for (size_t i = 0; i < from.size(); ++i) renamed.insert(from[i].key(), to[i].value());
    to = std::move(renamed);
  }
  for (size_t i = 0; i < from.size(); ++i) keep_names_and_mode(*from[i].value(), *to[i].value());
}

}  // namespace

std::shared_ptr<torch::nn::Module> clone_module(const torch::nn::Module& model) {
  std::shared_ptr<torch::nn::Module> copy;
  try {
    copy = model.clone();
  } catch (const c10::Error& error) {
    fail("the model cannot be cloned: ", error.what_without_backtrace(),
         "\nDerive its modules from torch::nn::Cloneable, or quantize it in place (inplace = true, or pass *model)");
  }
  keep_names_and_mode(const_cast<torch::nn::Module&>(model), *copy);
  return copy;
}

}  // namespace octet
