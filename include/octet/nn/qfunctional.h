#pragma once

#include <octet/nn/float_functional.h>
#include <octet/nn/implementation_of.h>
#include <octet/nn/output_qparams.h>
#include <octet/observe/qconfig.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace octet::nn::quantized {

/// What takes a FloatFunctional's place: arithmetic between quantized tensors whose result has the scale and zero point that were
/// found for it. torch.ao.nn.quantized.QFunctional.
class QFunctionalImpl : public ImplementationOf<QFunctionalImpl, FloatFunctionalImpl::Implementation> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::QFunctional";

  /// @param output  of the results; none for a functional that was used with scalars only, which need none
  explicit QFunctionalImpl(const std::optional<OutputQParams>& output) : output_(output) {}
  static std::shared_ptr<QFunctionalImpl> from_float(const nn::detail::FloatFunctionalImpl& module, const QConfig& qconfig,
                                                     const std::string& path);
  static std::shared_ptr<QFunctionalImpl> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  /// @param inputs  quantized per tensor, all of one dtype
  /// @throws Error for float tensors and other dtypes
  at::Tensor forward(const std::vector<at::Tensor>& inputs, FunctionalOp op, double argument) override;

  StateDict state_dict() const override;
  Attributes attributes() const override;
  int64_t weight_bytes() const override { return 0; }
  void pretty_print(std::ostream& stream) const override;

 private:
  std::optional<OutputQParams> output_;
};
TORCH_MODULE(QFunctional);

}  // namespace octet::nn::quantized
