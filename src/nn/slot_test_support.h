// Implementations and helpers for the tests of slots.
#pragma once

#include <octet/nn/modules.h>

#include <support/errors.h>

#include <atomic>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace octet::nn::test {

using octet::test::error_text;

/// What an implementation has to say beside forward; counts the calls.
template <class Derived, class Base>
class StubBase : public Base {
 public:
  StubBase() = default;
  StubBase(const StubBase& other) : Base(other), calls(other.calls.load()) {}

  std::atomic<int> calls{0};

  std::string kind() const override { return "Stub"; }
  StateDict state_dict() const override { return StateDict(); }
  Attributes attributes() const override { return {}; }
  int64_t weight_bytes() const override { return 0; }
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>&) const override {
    return std::make_shared<Derived>(static_cast<const Derived&>(*this));
  }
  void pretty_print(std::ostream& stream) const override { stream << "Stub()"; }
};

/// Answers any signature with an empty result.
template <class Interface>
class Stub;
template <class Result, class... Arguments>
class Stub<Implementation<Result(Arguments...)>>
    : public StubBase<Stub<Implementation<Result(Arguments...)>>, Implementation<Result(Arguments...)>> {
 public:
  Result forward(Arguments...) override {
    ++this->calls;
    return {};
  }
};
template <class Result, class... Arguments>
class Stub<RecurrentImplementation<Result(Arguments...)>>
    : public StubBase<Stub<RecurrentImplementation<Result(Arguments...)>>, RecurrentImplementation<Result(Arguments...)>> {
 public:
  using Recurrent = RecurrentImplementation<Result(Arguments...)>;

  Result forward(Arguments...) override {
    ++this->calls;
    return {};
  }
  typename Recurrent::PackedResult forward_with_packed_input(const torch::nn::utils::rnn::PackedSequence& packed_input,
                                                             typename Recurrent::Hidden) override {
    ++this->calls;
    return {packed_input, {}};
  }
};

/// For modules of one tensor: y = factor * x.
class Times : public StubBase<Times, Implementation<at::Tensor(const at::Tensor&)>> {
 public:
  explicit Times(double factor) : factor_(factor) {}
  at::Tensor forward(const at::Tensor& input) override {
    ++calls;
    return input * factor_;
  }
  void pretty_print(std::ostream& stream) const override { stream << "Times(factor=" << factor_ << ")"; }

 private:
  double factor_;
};

/// Puts a Times into the slot of a module holder and returns it.
template <class Holder>
std::shared_ptr<Times> swap_for_times(Holder& module, double factor) {
  auto times = std::make_shared<Times>(factor);
  as_slot(*module)->set_implementation(times);
  return times;
}

template <class Printable>
std::string text_of(const Printable& printable) {
  std::ostringstream text;
  text << printable;
  return text.str();
}

template <class Model>
std::vector<std::string> parameter_keys(const Model& model) {
  return model->named_parameters().keys();
}

/// The clone of what a holder or pointer holds, of the same class.
template <class Pointer>
auto clone_of(const Pointer& module) {
  using Class = std::remove_cvref_t<decltype(*module)>;
  auto copy = std::dynamic_pointer_cast<Class>(module->clone());
  TORCH_CHECK(copy != nullptr, "the clone is of another class");
  return copy;
}

}  // namespace octet::nn::test
