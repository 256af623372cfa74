#pragma once

#include <octet/tensor/quantizer.h>

#include <ATen/core/Tensor.h>
#include <c10/core/TensorImpl.h>

#include <memory>

namespace octet {

/// The dispatch key of quantized tensors. PrivateUse1 is left to out-of-tree devices.
constexpr auto kQuantizedKey = c10::DispatchKey::PrivateUse2;
constexpr auto kQuantizedAutogradKey = c10::DispatchKey::AutogradPrivateUse2;

/// What an at::Tensor that is quantized points to. Its own sizes, strides and offset are those of the integers (of packed ones:
/// contiguous), its dtype is float, and it has no storage: code that wants a float* throws instead of reading integers.
class QuantizedTensorImpl final : public c10::TensorImpl {
 public:
  /// @param sizes  as in make_quantized; the caller has checked that all fits
  QuantizedTensorImpl(at::Tensor integers, std::shared_ptr<const Quantizer> quantizer, at::IntArrayRef sizes);

  /// A view of a tensor that is no inference tensor is none either, even in inference mode.
  void become_view_of(const QuantizedTensorImpl& base);

  const at::Tensor& integers() const { return integers_; }
  const std::shared_ptr<const Quantizer>& quantizer() const { return quantizer_; }

  /// For in-place ops that change sizes or strides (transpose_). The dtype stays; the integers are not packed.
  void set_integers(at::Tensor integers, std::shared_ptr<const Quantizer> quantizer);

  c10::intrusive_ptr<TensorImpl> shallow_copy_and_detach(const c10::VariableVersion& version,
                                                         bool allow_tensor_metadata_change) const override;
  c10::intrusive_ptr<TensorImpl> shallow_copy_and_detach(c10::VariableVersion&& version,
                                                         bool allow_tensor_metadata_change) const override;
  void shallow_copy_from(const c10::intrusive_ptr<TensorImpl>& impl) override;

 private:
  const char* tensorimpl_type_name() const override { return "octet::QuantizedTensorImpl"; }

  at::Tensor integers_;
  std::shared_ptr<const Quantizer> quantizer_;
};

/// The impl of a quantized tensor. @throws Error for others; `what` begins the text.
QuantizedTensorImpl& impl_of(const at::Tensor& tensor, std::string_view what);

/// A new quantized tensor that is a view of another one, as autograd sees it.
at::Tensor wrap_view(const QuantizedTensorImpl& base, at::Tensor integers, std::shared_ptr<const Quantizer> quantizer);

/// A new quantized tensor; the integers' dtype and sizes are known to fit.
at::Tensor wrap(at::Tensor integers, std::shared_ptr<const Quantizer> quantizer, at::IntArrayRef sizes);
at::Tensor wrap(at::Tensor integers, std::shared_ptr<const Quantizer> quantizer);

}  // namespace octet
