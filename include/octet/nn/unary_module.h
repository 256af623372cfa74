#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/any_module_holder.h>

#include <utility>
#include <vector>

namespace octet::nn {

/// A base for modules whose forward takes one argument: `class BlockImpl : public UnaryModule<torch::nn::Cloneable<BlockImpl>>`.
/// They do the same in a torch::nn::Sequential as without it, but faster: for other modules LibTorch composes the text of an error
/// at each call, from the demangled name of their class, which takes a microsecond or more. It does not for those that say that
/// they have arguments with defaults; these say so, and that none of them may be left out. Octet's slots are such modules.
template <class Base>
class UnaryModule : public Base {
 public:
  using Base::Base;

 protected:
  template <class, class...>
  friend struct torch::nn::AnyModuleHolder;

  bool _forward_has_default_args() override { return true; }
  unsigned int _forward_num_required_args() override { return 1; }
  std::vector<torch::nn::AnyValue> _forward_populate_default_args(std::vector<torch::nn::AnyValue>&& arguments) override {
    return std::move(arguments);
  }
};

}  // namespace octet::nn
