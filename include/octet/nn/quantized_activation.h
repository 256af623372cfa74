#pragma once

#include <octet/nn/implementation_of.h>
#include <octet/nn/modules.h>
#include <octet/nn/output_qparams.h>
#include <octet/observe/qconfig.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

/// Statically quantized activations. All take tensors that are quantized per tensor as quint8 or qint8, of any shape and on the
/// CPU, and throw Error for others. Those with an output scale return a new tensor, whatever the float module's `inplace`.
namespace octet::nn::quantized {

/// A function of one element: a table of the results of the 256 integers that the input can have, computed in float64 and
/// quantized (see LookupTable). The table is made anew only when the input's scale or zero point changes.
class TableActivation : public Implementation<at::Tensor(const at::Tensor&)> {
 public:
  at::Tensor forward(const at::Tensor& input) override;
  StateDict state_dict() const override;
  int64_t weight_bytes() const override { return 0; }
  const OutputQParams& output() const { return output_; }

 protected:
  using Function = std::function<at::Tensor(const at::Tensor&)>;
  TableActivation(Function function, const OutputQParams& output);

 private:
  struct LastTable;

  Function function_;
  OutputQParams output_;
  std::shared_ptr<LastTable> last_table_;  // shared by clones
};

/// What a float module without parameters computes, with the options it has (`alpha`, `negative_slope`, `approximate`).
template <class Self, class FloatSlot>
class UnaryActivation : public ImplementationOf<Self, TableActivation> {
 public:
  using Function = typename FloatSlot::FloatModule;

  /// @param module  in a slot whose observer was calibrated
  /// @throws Error as OutputQParams::from
  static std::shared_ptr<Self> from_float(const Function& module, const QConfig& qconfig, const std::string& path);

  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<Self> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  /// @param function  a float module, which is not changed from now on
  UnaryActivation(std::shared_ptr<Function> function, const OutputQParams& output);

  Attributes attributes() const override;
  void pretty_print(std::ostream& stream) const override;

 private:
  std::shared_ptr<Function> float_module_;
};

/// torch.ao.nn.quantized.ELU.
class ELUImpl : public UnaryActivation<ELUImpl, nn::ELUImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::ELU";
  using UnaryActivation::UnaryActivation;
};
TORCH_MODULE(ELU);

/// torch.ao.nn.quantized.LeakyReLU.
class LeakyReLUImpl : public UnaryActivation<LeakyReLUImpl, nn::LeakyReLUImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::LeakyReLU";
  using UnaryActivation::UnaryActivation;
};
TORCH_MODULE(LeakyReLU);

/// torch.ao.nn.quantized.Hardswish.
class HardswishImpl : public UnaryActivation<HardswishImpl, nn::HardswishImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Hardswish";
  using UnaryActivation::UnaryActivation;
};
TORCH_MODULE(Hardswish);

/// torch.ao.nn.quantized.Sigmoid.
class SigmoidImpl : public UnaryActivation<SigmoidImpl, nn::SigmoidImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Sigmoid";
  using UnaryActivation::UnaryActivation;
};
TORCH_MODULE(Sigmoid);

/// Hyperbolic tangent. torch.ao has no module of it: its converted models call torch.tanh, whose scale is fixed.
class TanhImpl : public UnaryActivation<TanhImpl, nn::TanhImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Tanh";
  using UnaryActivation::UnaryActivation;
};
TORCH_MODULE(Tanh);

/// Piecewise linear sigmoid; not a module of torch.ao either.
class HardsigmoidImpl : public UnaryActivation<HardsigmoidImpl, nn::HardsigmoidImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Hardsigmoid";
  using UnaryActivation::UnaryActivation;
};
TORCH_MODULE(Hardsigmoid);

/// x * sigmoid(x); not a module of torch.ao either.
class SiLUImpl : public UnaryActivation<SiLUImpl, nn::SiLUImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::SiLU";
  using UnaryActivation::UnaryActivation;
};
TORCH_MODULE(SiLU);

/// x * Φ(x), or its approximation by tanh; not a module of torch.ao either.
class GELUImpl : public UnaryActivation<GELUImpl, nn::GELUImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::GELU";
  using UnaryActivation::UnaryActivation;
};
TORCH_MODULE(GELU);

/// min(max(x, 0), 6) on the integers, with the input's scale and zero point: torch.ao.nn.quantized.ReLU6.
class ReLU6Impl : public ImplementationOf<ReLU6Impl, nn::ReLU6Impl::Implementation> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::ReLU6";

  /// @param inplace  changes the input and returns it
  explicit ReLU6Impl(bool inplace = false) : inplace_(inplace) {}
  static std::shared_ptr<ReLU6Impl> from_float(const torch::nn::ReLU6Impl& module, const QConfig& qconfig,
                                               const std::string& path);
  static std::shared_ptr<ReLU6Impl> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  at::Tensor forward(const at::Tensor& input) override;
  StateDict state_dict() const override { return StateDict(); }
  Attributes attributes() const override { return {{"inplace", inplace_}}; }
  int64_t weight_bytes() const override { return 0; }
  void pretty_print(std::ostream& stream) const override;

 private:
  bool inplace_;
};
TORCH_MODULE(ReLU6);

/// x where x >= 0, else x * slope, in float32, then quantized: torch.ao.nn.quantized.PReLU. One slope, or one for each channel,
/// which are quantized. (torch.ao multiplies positive values too: with the number nearest to 1 that the weight's scale has.)
class PReLUImpl : public ImplementationOf<PReLUImpl, nn::PReLUImpl::Implementation> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::PReLU";

  /// Quantizes the slopes with the weight observer of `qconfig`, as quint8 or qint8, whichever it is of, per tensor or per
  /// channel. (torch.ao takes them as quint8 also from observers of qint8, which clips negative slopes to 0.)
  /// @param module  in a slot whose observer was calibrated
  /// @throws Error for other dtypes, for a qconfig without a weight observer, and as OutputQParams::from
  static std::shared_ptr<PReLUImpl> from_float(const torch::nn::PReLUImpl& module, const QConfig& qconfig,
                                               const std::string& path);

  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<PReLUImpl> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  /// @param weight  [num_parameters], quantized as quint8 or qint8
  PReLUImpl(at::Tensor weight, const OutputQParams& output);

  /// @param input  [N, num_parameters, ...]; with one parameter of any shape
  at::Tensor forward(const at::Tensor& input) override;

  /// `weight` with `weight_scale` (float32, [1] or [num_parameters]) and `weight_zero_point` (int32, alike), and the output's.
  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override;
  void pretty_print(std::ostream& stream) const override;

  /// The slopes, quantized.
  const at::Tensor& weight() const { return weight_; }
  const OutputQParams& output() const { return output_; }

 private:
  at::Tensor weight_;
  at::Tensor slopes_;  // their values, [num_parameters], float32
  OutputQParams output_;
};
TORCH_MODULE(PReLU);

/// Softmax along one dimension, by the exact sums of kernels::softmax, then quantized: torch.ao.nn.quantized.Softmax.
class SoftmaxImpl : public ImplementationOf<SoftmaxImpl, nn::SoftmaxImpl::Implementation> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Softmax";

  /// @param dim  counted from the end if negative
  SoftmaxImpl(int64_t dim, const OutputQParams& output) : dim_(dim), output_(output) {}

  /// @param module  in a slot whose observer was calibrated
  /// @throws Error as OutputQParams::from
  static std::shared_ptr<SoftmaxImpl> from_float(const torch::nn::SoftmaxImpl& module, const QConfig& qconfig,
                                                 const std::string& path);

  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<SoftmaxImpl> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  /// @throws Error for tensors that lack the dimension
  at::Tensor forward(const at::Tensor& input) override;
  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override { return 0; }
  void pretty_print(std::ostream& stream) const override;
  const OutputQParams& output() const { return output_; }

 private:
  int64_t dim_;
  OutputQParams output_;
};
TORCH_MODULE(Softmax);

/// Returns its input, also in training: torch.ao.nn.quantized.Dropout. The one module here that takes float tensors too.
class DropoutImpl : public ImplementationOf<DropoutImpl, nn::DropoutImpl::Implementation> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Dropout";

  static std::shared_ptr<DropoutImpl> from_float(const torch::nn::DropoutImpl& module, const QConfig& qconfig,
                                                 const std::string& path);
  static std::shared_ptr<DropoutImpl> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  at::Tensor forward(const at::Tensor& input) override { return input; }
  StateDict state_dict() const override { return StateDict(); }
  Attributes attributes() const override { return {}; }
  int64_t weight_bytes() const override { return 0; }
  void pretty_print(std::ostream& stream) const override;
};
TORCH_MODULE(Dropout);

}  // namespace octet::nn::quantized
