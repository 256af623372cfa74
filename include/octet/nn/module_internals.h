#pragma once

#include <torch/nn/cloneable.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace octet::nn::detail {
struct ModuleInternalsTag;
}

/// LibTorch makes every Cloneable a friend of Module. This specialization, of a type of ours, is the way to the registries
/// of a module, which Module itself hands out only as copies.
template <>
class torch::nn::Cloneable<octet::nn::detail::ModuleInternalsTag> {
 public:
  static OrderedDict<std::string, std::shared_ptr<Module>>& children(Module& module) { return module.children_; }
  static OrderedDict<std::string, Tensor>& parameters(Module& module) { return module.parameters_; }
  static OrderedDict<std::string, Tensor>& buffers(Module& module) { return module.buffers_; }

  /// What name() answers, in place of the demangled name of the class.
  static void set_name(Module& module, std::string name) { module.name_ = std::move(name); }

  /// Makes `target` what a clone of `source` would be, without changing who owns it.
  static void clone_into(Module& target, Module& source, const std::optional<Device>& device) { target.clone_(source, device); }
};

namespace octet::nn::detail {
using ModuleInternals = torch::nn::Cloneable<ModuleInternalsTag>;
}
