#pragma once

#include <octet/tensor/dtype.h>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/utils/rnn.h>
#include <torch/ordered_dict.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace octet::nn {

/// Tensors by name, in a fixed order.
using StateDict = torch::OrderedDict<std::string, at::Tensor>;

/// The numbers and words beside its tensors that a module is rebuilt from ("groups", "dtype", "stride", ...).
using Attributes = std::map<std::string, std::variant<bool, int64_t, double, std::string, std::vector<int64_t>>>;

/// What a workflow puts into a slot: an observed, fake-quantized or quantized module.
/// It is a module of its own that can also be used without a slot. Quantized ones are immutable after construction, so one
/// may be shared by clones and called from many threads at once; they register no parameters.
class ImplementationBase : public torch::nn::Module {
 public:
  /// Its class as files and reports name it: "octet::nn::quantized::dynamic::Linear".
  virtual std::string kind() const = 0;

  /// Its tensors under torch.ao's names: for a quantized `weight` the integers, with `weight_scale` and
  /// `weight_zero_point` beside them. Built on demand: packed weights are unpacked.
  virtual StateDict state_dict() const = 0;

  /// With state_dict(), all that is needed to rebuild it.
  virtual Attributes attributes() const = 0;

  /// Bytes of memory that its weights, biases and their qparams occupy.
  virtual int64_t weight_bytes() const = 0;

  /// Whether the float module's parameters stay in the slot.
  virtual bool keeps_float_module() const { return false; }

  /// Children of the slot that belong to this implementation, by name, beside those of the float module: the `bn` and the
  /// `weight_fake_quant` of quantization-aware training. They are there as long as it computes there.
  virtual std::vector<std::string> slot_children() const { return {}; }

  /// Those of them that it brings along; the slot takes them over. The others must be there before.
  std::vector<std::pair<std::string, std::shared_ptr<torch::nn::Module>>> new_slot_children;

  /// Integer data has no other dtype to go to: a dtype is ignored, any device but the CPU is an Error.
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Device device, bool non_blocking = false) override;
};

/// An implementation that answers calls of one signature, that of the float module's forward.
template <class Signature>
class Implementation;

template <class Result, class... Arguments>
class Implementation<Result(Arguments...)> : public ImplementationBase {
 public:
  virtual Result forward(Arguments... arguments) = 0;
};

/// An implementation that computes with the parameters of the float module, which stay in the slot: fused modules, and those of
/// quantization-aware training. It keeps no pointer to them, so that a clone of the slot needs no mending.
template <class Signature>
class FloatImplementation;

template <class Result, class... Arguments>
class FloatImplementation<Result(Arguments...)> : public ImplementationBase {
 public:
  /// @param float_module  the slot, as its torch class
  virtual Result forward(torch::nn::Module& float_module, Arguments... arguments) = 0;

  bool keeps_float_module() const final { return true; }
};

namespace detail {

/// The types that go with the forward of a recurrent module, `tuple<Tensor, H>(const Tensor&, Hidden)`.
template <class Signature>
struct RecurrentTypes;
template <class State, class HiddenArgument>
struct RecurrentTypes<std::tuple<at::Tensor, State>(const at::Tensor&, HiddenArgument)> {
  using Hidden = HiddenArgument;
  using PackedResult = std::tuple<torch::nn::utils::rnn::PackedSequence, State>;
};

}  // namespace detail

/// An implementation for the slots of LSTM, GRU and RNN.
template <class Signature>
class RecurrentImplementation : public Implementation<Signature> {
 public:
  using Hidden = typename detail::RecurrentTypes<Signature>::Hidden;
  using PackedResult = typename detail::RecurrentTypes<Signature>::PackedResult;

  virtual PackedResult forward_with_packed_input(const torch::nn::utils::rnn::PackedSequence& packed_input, Hidden hx) = 0;
};

}  // namespace octet::nn
