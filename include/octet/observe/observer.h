#pragma once

#include <octet/tensor/error.h>
#include <octet/tensor/qparams.h>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

namespace octet {

/// What the qparams of an observer are meant for.
struct QuantizationTarget {
  DType dtype = quint8;
  QScheme qscheme = per_tensor_affine;
  int64_t quant_min = 0;
  int64_t quant_max = 255;
  bool is_dynamic = false;  ///< qparams are computed anew for every input when the converted model runs
  bool per_row = false;     ///< with is_dynamic: one scale and zero point for each row (all dimensions but the last)
  int64_t ch_axis = -1;     ///< the channel axis of the per-channel schemes; -1 where there is none
  int64_t group_size = 0;   ///< of the per-channel schemes in groups: so many elements of the last dimension share a scale
};

/// The arguments of a constructor call in their printed form, in order: {{"dtype", "qint8"}, {"bins", "2048"}}.
using Arguments = std::vector<std::pair<std::string, std::string>>;

/// Combines tensors of all the processes that observe parts of one data set, element by element and in place. A collective: each
/// process makes the same calls in the same order, with tensors of the same shape and dtype (float32, int32 or int64).
class RankReduction {
 public:
  virtual ~RankReduction() = default;
  virtual void min(at::Tensor& values) = 0;
  virtual void max(at::Tensor& values) = 0;
  virtual void sum(at::Tensor& values) = 0;
};

/// A module that watches the tensors passing through it and can say how to quantize them. FakeQuantize is one as well.
///
/// State lives in registered buffers under Python's key names (`min_val`, `max_val`, `eps`, `histogram`, ...) and is updated
/// in place: a buffer stays the same tensor as long as the observer lives, so handles to it stay valid. Buffers keep their
/// dtypes whatever `to` is asked for: statistics are float32 or integers, also in a model of halves (Python casts them, and
/// a histogram of halves overflows). `to(device)` moves them.
///
/// Not thread-safe: one observer must not see two forward calls at once.
class ObserverBase : public torch::nn::Module {
 public:
  /// Records what it needs to know of x and returns x itself; the fake quantizers return x fake-quantized.
  /// Tensors without elements are passed through unrecorded. x may be of any floating dtype and is not changed.
  /// @throws Error if x holds NaN or infinities, with the state as it was. Observers with an option `ignore_non_finite`
  ///         leave such elements out where it is set.
  virtual at::Tensor forward(const at::Tensor& x) = 0;

  /// Scale and zero point for what was seen so far. @throws Error if nothing was seen, or if it computes none by its nature.
  virtual QParams calculate_qparams() const = 0;

  /// True if calculate_qparams has an answer.
  virtual bool is_calibrated() const = 0;

  /// Forgets what was seen. @throws Error where there is nothing to forget.
  virtual void reset_min_max_vals();

  /// Puts what the observers of all processes saw in place of what this one saw, so that all have the state of one that saw
  /// everything. Whatever an observer has seen, it makes the same calls of the reduction. Does nothing where there is no state.
  virtual void reduce_over_ranks(RankReduction& /*reduction*/) {}

  /// The constructor call that makes an observer like this one, by the options that differ from their defaults:
  /// "MinMaxObserver(dtype=qint8, qscheme=per_tensor_symmetric)". Observers with equal texts are configured equally.
  virtual std::string describe() const = 0;

  /// What stands in the parentheses when the observer is printed: "min_val=-1.0, max_val=2.5".
  virtual std::string extra_repr() const;

  const QuantizationTarget& target() const { return target_; }
  DType dtype() const { return target_.dtype; }
  QScheme qscheme() const { return target_.qscheme; }
  int64_t quant_min() const { return target_.quant_min; }
  int64_t quant_max() const { return target_.quant_max; }
  bool is_dynamic() const { return target_.is_dynamic; }
  bool per_row() const { return target_.per_row; }
  int64_t ch_axis() const { return target_.ch_axis; }

  /// A deep copy with the same options and state, on `device` if one is given.
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override;

  using Module::to;
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Dtype dtype, bool non_blocking = false) override;

  /// As Python prints it: "MinMaxObserver(min_val=-1.0, max_val=2.5)".
  void pretty_print(std::ostream& stream) const override;

 protected:
  /// @param class_name  without namespaces, as name() and the texts of errors have it
  ObserverBase(std::string class_name, QuantizationTarget target) : Module(std::move(class_name)), target_(target) {}

  /// One with the same options that has seen nothing.
  virtual std::shared_ptr<ObserverBase> make_fresh() const = 0;

  /// Takes over the state of another observer of the same class, beside the buffers.
  virtual void copy_unregistered_state(const ObserverBase& /*other*/) {}

 private:
  void clone_(Module& other, const std::optional<torch::Device>& device) override;  // for Cloneable parents
  void copy_state(const ObserverBase& other, const std::optional<torch::Device>& device);

  QuantizationTarget target_;
};

/// Makes observers that all have the same options; what a QConfig holds. A cheap value: copies share a prototype.
/// An empty factory stands for "do not observe" (torch.nn.Identity or None in Python). Safe to use from many threads.
class ObserverFactory {
 public:
  ObserverFactory() = default;

  /// Makes observers like this one, which must not be used for observing.
  explicit ObserverFactory(std::shared_ptr<const ObserverBase> prototype) : prototype_(std::move(prototype)) {}

  explicit operator bool() const { return prototype_ != nullptr; }

  /// A new observer that has seen nothing. @throws Error if the factory is empty.
  std::shared_ptr<ObserverBase> operator()() const;

  /// "MinMaxObserver"; "Identity" if empty.
  std::string name() const;

  /// ObserverBase::describe of what it makes; "Identity" if empty.
  std::string describe() const;

  /// What it makes observers for, without making one. An empty factory answers float32.
  const QuantizationTarget& target() const;
  DType dtype() const { return target().dtype; }
  QScheme qscheme() const { return target().qscheme; }
  bool is_dynamic() const { return target().is_dynamic; }
  bool per_row() const { return target().per_row; }

  /// The observer that all others are clones of, to look at its class and options; null if empty.
  const ObserverBase* prototype() const { return prototype_.get(); }

  /// Factories are equal if they make equally configured observers.
  friend bool operator==(const ObserverFactory& a, const ObserverFactory& b) { return a.describe() == b.describe(); }

 private:
  std::shared_ptr<const ObserverBase> prototype_;
};

std::ostream& operator<<(std::ostream& stream, const ObserverFactory& factory);

namespace detail {
/// The name of a class without namespaces and template arguments.
std::string unqualified_name(std::type_index type);

/// "name(key=value, ...)" with the arguments that are not among the defaults.
std::string describe_call(const std::string& name, const Arguments& arguments, const Arguments& defaults);
}  // namespace detail

/// What an observer class has because of its options. `class My : public ObserverOf<My, MyOptions, SomeObserverBase>` gets
/// with_args, options, describe, clone and its name, which comes before the arguments that My's constructor gives for
/// SomeObserverBase. It needs a constructor My(const MyOptions&) that throws an Error for options that cannot be; MyOptions
/// needs `Arguments arguments() const` and to be copyable.
template <class Derived, class OptionsType, std::derived_from<ObserverBase> Base = ObserverBase>
class ObserverOf : public Base {
 public:
  using Options = OptionsType;

  /// A factory of observers with these options. @throws Error for options that cannot be.
  static ObserverFactory with_args(const Options& options = Options()) {
    return ObserverFactory(std::make_shared<Derived>(options));
  }

  const Options& options() const { return options_; }

  std::string describe() const override {
    Arguments defaults;
    if constexpr (std::default_initializable<Options>) defaults = Options().arguments();
    return detail::describe_call(this->name(), options_.arguments(), defaults);
  }

 protected:
  template <class... BaseArguments>
  explicit ObserverOf(const Options& options, BaseArguments&&... arguments)
      : Base(detail::unqualified_name(typeid(Derived)), std::forward<BaseArguments>(arguments)...), options_(options) {}

  std::shared_ptr<ObserverBase> make_fresh() const override { return std::make_shared<Derived>(options_); }

 private:
  Options options_;
};

}  // namespace octet
