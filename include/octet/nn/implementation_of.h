#pragma once

#include <octet/nn/implementation.h>

#include <memory>
#include <optional>
#include <string>

namespace octet::nn {

/// What every implementation class says about itself in the same words: `class X : public ImplementationOf<X, Base>` needs a
/// `static constexpr const char* kKind` and gets kind(), clone() and how it is printed but for its options.
template <class Self, class Base>
class ImplementationOf : public Base {
 public:
  using Base::Base;

  std::string kind() const override { return Self::kKind; }
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& = std::nullopt) const override {
    return std::make_shared<Self>(static_cast<const Self&>(*this));
  }
};

}  // namespace octet::nn
