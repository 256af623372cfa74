#include <octet/tensor/error.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/integers.h>
#include <tensor/op_table.h>
#include <tensor/quantized_tensor_impl.h>

#include <utility>

namespace octet {

QuantizedTensorImpl::QuantizedTensorImpl(at::Tensor integers, std::shared_ptr<const Quantizer> quantizer, at::IntArrayRef sizes)
    : TensorImpl(c10::DispatchKeySet(kQuantizedKey), caffe2::TypeMeta::Make<float>(), integers.device()) {
  set_storage_access_should_throw();
  const bool is_packed = quantizer->is_packed();
  set_integers(std::move(integers), std::move(quantizer));
  if (is_packed) set_sizes_contiguous(sizes);
}

void QuantizedTensorImpl::become_view_of(const QuantizedTensorImpl& base) {
  const bool base_is_inference = !base.key_set_.has(c10::DispatchKey::ADInplaceOrView);
  if (is_inference() == base_is_inference) return;
  key_set_ = base.key_set_;
  if (!is_inference()) set_version_counter(c10::VariableVersion(0));
}

void QuantizedTensorImpl::set_integers(at::Tensor integers, std::shared_ptr<const Quantizer> quantizer) {
  integers_ = std::move(integers);
  quantizer_ = std::move(quantizer);
  set_sizes_and_strides(integers_.sizes(), integers_.strides(), integers_.storage_offset());
}

c10::intrusive_ptr<c10::TensorImpl> QuantizedTensorImpl::shallow_copy_and_detach(const c10::VariableVersion& version,
                                                                                 bool allow_tensor_metadata_change) const {
  auto copy = c10::make_intrusive<QuantizedTensorImpl>(integers_, quantizer_, sizes());
  copy_tensor_metadata(this, copy.get(), version, allow_tensor_metadata_change);
  return copy;
}

c10::intrusive_ptr<c10::TensorImpl> QuantizedTensorImpl::shallow_copy_and_detach(c10::VariableVersion&& version,
                                                                                 bool allow_tensor_metadata_change) const {
  auto copy = c10::make_intrusive<QuantizedTensorImpl>(integers_, quantizer_, sizes());
  copy_tensor_metadata(this, copy.get(), std::move(version), allow_tensor_metadata_change);
  return copy;
}

void QuantizedTensorImpl::shallow_copy_from(const c10::intrusive_ptr<TensorImpl>& impl) {
  const auto& source = static_cast<const QuantizedTensorImpl&>(*impl);
  integers_ = source.integers_;
  quantizer_ = source.quantizer_;
  copy_tensor_metadata(&source, this, version_counter(), allow_tensor_metadata_change());
}

QuantizedTensorImpl& impl_of(const at::Tensor& tensor, std::string_view what) {
  constexpr std::string_view kAdvice = "; quantize it first, for example with quantize_per_tensor()";
  check(tensor.defined(), what, ": the tensor is not quantized but undefined", kAdvice);
  check(is_quantized(tensor), what, ": the tensor is not quantized but plain ", tensor.scalar_type(), " of sizes ", tensor.sizes(),
        kAdvice);
  return static_cast<QuantizedTensorImpl&>(*tensor.unsafeGetTensorImpl());
}

at::Tensor wrap(at::Tensor integers, std::shared_ptr<const Quantizer> quantizer, at::IntArrayRef sizes) {
  register_op_table();
  return at::detail::make_tensor<QuantizedTensorImpl>(std::move(integers), std::move(quantizer), sizes);
}

at::Tensor wrap(at::Tensor integers, std::shared_ptr<const Quantizer> quantizer) {
  const auto sizes = integers.sizes();
  return wrap(std::move(integers), std::move(quantizer), sizes);
}

at::Tensor wrap_view(const QuantizedTensorImpl& base, at::Tensor integers, std::shared_ptr<const Quantizer> quantizer) {
  const auto sizes = quantizer->is_packed() ? base.sizes() : integers.sizes();
  at::Tensor view = wrap(std::move(integers), std::move(quantizer), sizes);
  impl_of(view, "wrap_view").become_view_of(base);
  return view;
}

bool is_quantized(const at::Tensor& tensor) { return tensor.defined() && tensor.key_set().has(kQuantizedKey); }

at::Tensor int_repr(const at::Tensor& tensor) { return impl_of(tensor, "int_repr").integers(); }

const Quantizer& quantizer(const at::Tensor& tensor) { return *impl_of(tensor, "quantizer").quantizer(); }

DType q_dtype(const at::Tensor& tensor) { return impl_of(tensor, "q_dtype").quantizer()->dtype; }

QScheme qscheme(const at::Tensor& tensor) { return impl_of(tensor, "qscheme").quantizer()->qscheme; }

namespace {

const Quantizer& per_tensor_quantizer(const at::Tensor& tensor, std::string_view what) {
  const Quantizer& quantizer = *impl_of(tensor, what).quantizer();
  check(!quantizer.is_per_channel(), what, ": the tensor's scheme is ", quantizer.qscheme,
        "; use q_per_channel_scales(), q_per_channel_zero_points() and q_per_channel_axis()");
  return quantizer;
}

const Quantizer& per_channel_quantizer(const at::Tensor& tensor, std::string_view what) {
  const Quantizer& quantizer = *impl_of(tensor, what).quantizer();
  check(quantizer.is_per_channel(), what, ": the tensor's scheme is ", quantizer.qscheme, "; use q_scale() and q_zero_point()");
  return quantizer;
}

}  // namespace

double q_scale(const at::Tensor& tensor) { return per_tensor_quantizer(tensor, "q_scale").scale; }

int64_t q_zero_point(const at::Tensor& tensor) { return per_tensor_quantizer(tensor, "q_zero_point").zero_point; }

at::Tensor q_per_channel_scales(const at::Tensor& tensor) { return per_channel_quantizer(tensor, "q_per_channel_scales").scales; }

at::Tensor q_per_channel_zero_points(const at::Tensor& tensor) {
  return per_channel_quantizer(tensor, "q_per_channel_zero_points").zero_points;
}

int64_t q_per_channel_axis(const at::Tensor& tensor) { return per_channel_quantizer(tensor, "q_per_channel_axis").axis; }

at::Tensor make_quantized(const at::Tensor& integers, Quantizer quantizer, std::optional<at::IntArrayRef> sizes) {
  const DTypeInfo& dtype = info(quantizer.dtype);
  check(integers.defined(), "make_quantized: the integers are undefined; expected ", dtype.storage, ", as ", dtype.name,
        " is stored");
  check(integers.scalar_type() == dtype.storage, "make_quantized: the integers are ", integers.scalar_type(), "; expected ",
        dtype.storage, ", as ", dtype.name, " is stored");
  check(!is_quantized(integers), "make_quantized: the integers are a quantized tensor; pass its int_repr()");
  if (quantizer.is_packed()) {
    check(sizes.has_value(), "make_quantized: packed ", dtype.name, " integers do not tell the sizes of their tensor; pass them");
    const int64_t bytes = packed_size(c10::multiply_integers(*sizes), dtype.bits);
    check(integers.dim() == 1 && integers.numel() == bytes, "make_quantized: the packed integers have sizes ", integers.sizes(),
          "; expected [", bytes, "] for a ", dtype.name, " tensor of sizes ", *sizes);
  }
  check(quantizer.is_packed() || !sizes || *sizes == integers.sizes(), "make_quantized: sizes are ",
        sizes.value_or(at::IntArrayRef()), "; expected those of the integers, ", integers.sizes());
  const at::IntArrayRef logical_sizes = sizes.value_or(integers.sizes());
  quantizer.check_fits(logical_sizes);
  const at::Tensor plain = integers.detach();
  return wrap(quantizer.is_packed() ? plain.contiguous() : plain, std::make_shared<const Quantizer>(std::move(quantizer)),
              logical_sizes);
}

namespace {

DType dtype_of_integers(const at::Tensor& integers, std::string_view what) {
  for (const DType dtype : {quint8, qint8, qint32}) {
    if (integers.defined() && integers.scalar_type() == info(dtype).storage) return dtype;
  }
  fail(what, ": the integers are ", integers.defined() ? c10::str(integers.scalar_type()) : "undefined",
       "; expected Byte, Char or Int");
}

}  // namespace

at::Tensor make_per_tensor_quantized(const at::Tensor& integers, double scale, int64_t zero_point) {
  const DType dtype = dtype_of_integers(integers, "make_per_tensor_quantized");
  return make_quantized(integers, Quantizer::per_tensor(scale, zero_point, dtype));
}

at::Tensor make_per_channel_quantized(const at::Tensor& integers, const at::Tensor& scales, const at::Tensor& zero_points,
                                      int64_t axis) {
  const DType dtype = dtype_of_integers(integers, "make_per_channel_quantized");
  return make_quantized(integers, Quantizer::per_channel(scales, zero_points, axis, dtype));
}

}  // namespace octet
