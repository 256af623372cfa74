#pragma once

#include <octet/nn/implementation_of.h>
#include <octet/nn/output_qparams.h>
#include <octet/nn/stubs.h>
#include <octet/observe/qconfig.h>

#include <memory>
#include <string>

namespace octet::nn::quantized {

/// What takes a QuantStub's place: quantizes a float tensor with the stub's scale and zero point. torch.ao.nn.quantized.Quantize.
class QuantizeImpl : public ImplementationOf<QuantizeImpl, QuantStubImpl::Implementation> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Quantize";

  explicit QuantizeImpl(const OutputQParams& output) : output_(output) {}
  static std::shared_ptr<QuantizeImpl> from_float(const nn::detail::QuantStubImpl& module, const QConfig& qconfig, const std::string& path);
  static std::shared_ptr<QuantizeImpl> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  /// @param input  float32, of any shape, on the CPU
  /// @return quantized, in the memory format of the input; what lies outside of the range of integers takes its nearest end,
  ///         NaN the lower one
  /// @throws Error for tensors that are quantized already, or not float32
  at::Tensor forward(const at::Tensor& input) override;

  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override { return 0; }
  void pretty_print(std::ostream& stream) const override;
  const OutputQParams& output() const { return output_; }

 private:
  OutputQParams output_;
};
TORCH_MODULE(Quantize);

/// What takes a DeQuantStub's place: gives the values of a quantized tensor as float32. torch.ao.nn.quantized.DeQuantize.
class DeQuantizeImpl : public ImplementationOf<DeQuantizeImpl, DeQuantStubImpl::Implementation> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::DeQuantize";

  static std::shared_ptr<DeQuantizeImpl> from_float(const nn::detail::DeQuantStubImpl& module, const QConfig& qconfig,
                                                    const std::string& path);
  static std::shared_ptr<DeQuantizeImpl> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  /// @param input  a quantized tensor; a float tensor, which reaches it where the modules before it were kept in float, passes
  at::Tensor forward(const at::Tensor& input) override;

  StateDict state_dict() const override { return StateDict(); }
  Attributes attributes() const override { return {}; }
  int64_t weight_bytes() const override { return 0; }
  void pretty_print(std::ostream& stream) const override { stream << kKind << "()"; }
};
TORCH_MODULE(DeQuantize);

}  // namespace octet::nn::quantized
