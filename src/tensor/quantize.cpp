#include <octet/tensor/error.h>
#include <octet/tensor/qparams.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/integers.h>
#include <tensor/quantized_tensor_impl.h>

#include <ATen/ops/aminmax.h>

#include <memory>
#include <tuple>
#include <utility>

namespace octet {
namespace {

void check_input(const at::Tensor& input, std::string_view what) {
  check(input.defined(), what, ": the input is undefined");
  check(!is_quantized(input), what, ": the input is quantized already; dequantize() it first");
  check(input.scalar_type() == at::kFloat, what, ": the input is ", input.scalar_type(), "; expected Float");
  check(input.is_cpu(), what, ": the input is on ", input.device(), "; expected the CPU");
}

// The only element of a qparam that is given as a tensor.
at::Scalar only_element(const at::Tensor& tensor, std::string_view name) {
  check(tensor.defined() && tensor.numel() == 1, "quantize_per_tensor: ", name, " has ", tensor.defined() ? tensor.numel() : 0,
        " elements; expected one");
  return tensor.item();
}

at::Tensor quantize_checked(const at::Tensor& input, Quantizer quantizer) {
  quantizer.check_fits(input.sizes());
  at::Tensor integers = quantize_to_integers(input.detach(), quantizer);
  return wrap(std::move(integers), std::make_shared<const Quantizer>(std::move(quantizer)), input.sizes());
}

}  // namespace

at::Tensor quantize(const at::Tensor& input, const Quantizer& quantizer) {
  check_input(input, "quantize");
  return quantize_checked(input, quantizer);
}

at::Tensor quantize_per_tensor(const at::Tensor& input, double scale, int64_t zero_point, DType dtype) {
  check_input(input, "quantize_per_tensor");
  return quantize_checked(input, Quantizer::per_tensor(scale, zero_point, dtype));
}

at::Tensor quantize_per_tensor(const at::Tensor& input, const at::Tensor& scale, const at::Tensor& zero_point, DType dtype) {
  return quantize_per_tensor(input, only_element(scale, "scale").toDouble(), only_element(zero_point, "zero_point").toLong(),
                             dtype);
}

at::Tensor quantize_per_channel(const at::Tensor& input, const at::Tensor& scales, const at::Tensor& zero_points, int64_t axis,
                                DType dtype) {
  check_input(input, "quantize_per_channel");
  return quantize_checked(input, Quantizer::per_channel(scales, zero_points, axis, dtype));
}

at::Tensor quantize_per_tensor_dynamic(const at::Tensor& input, DType dtype, bool reduce_range) {
  check_input(input, "quantize_per_tensor_dynamic");
  check(dtype == quint8 || dtype == qint8 || dtype == float16, "quantize_per_tensor_dynamic: dtype is ", dtype,
        "; expected quint8, qint8 or float16");
  if (dtype == float16) return input.to(at::kHalf);
  check(input.numel() > 0, "quantize_per_tensor_dynamic: the input of sizes ", input.sizes(),
        " has no elements to take a range from; use quantize_per_tensor");
  const auto [min, max] = input.detach().aminmax();
  const DTypeInfo& range = info(dtype);
  const auto [scale, zero_point] =
      choose_dynamic_qparams(min.item<float>(), max.item<float>(), range.quant_min, range.quant_max, reduce_range);
  return quantize_checked(input, Quantizer::per_tensor(scale, zero_point, dtype));
}

at::Tensor dequantize(const at::Tensor& tensor) {
  if (!is_quantized(tensor)) return tensor.to(at::kFloat);
  const auto& impl = impl_of(tensor, "dequantize");
  return dequantize_integers(impl.integers(), *impl.quantizer(), impl.sizes());
}

}  // namespace octet
