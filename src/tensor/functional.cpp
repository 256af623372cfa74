#include <octet/kernels/quantize.h>
#include <octet/kernels/softmax.h>
#include <octet/tensor/error.h>
#include <octet/tensor/functional.h>
#include <octet/tensor/lookup_table.h>
#include <octet/tensor/parallel.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/activation_memory.h>
#include <tensor/in_module.h>
#include <tensor/integers.h>
#include <tensor/operands.h>

#include <ATen/TensorIterator.h>
#include <ATen/ops/bitwise_not.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace octet {
namespace {

// The tensor's values in another scale or zero point, by their integers.
at::Tensor translate(const at::Tensor& a, const Quantizer& to, const LookupTable::Function& function) {
  return LookupTable(quantizer(a), to, function).apply(a);
}

at::Tensor identity(const at::Tensor& values) { return values; }

// The tensor's numbers in another scale or zero point, into integers of its sizes.
void requantize_into(const at::Tensor& tensor, const Quantizer& to, const at::Tensor& integers) {
  const kernels::AffineQParams from_qparams = kernel_qparams(quantizer(tensor)), to_qparams = kernel_qparams(to);
  const at::Tensor from = octet::int_repr(tensor);
  auto iterator = at::TensorIteratorConfig().add_output(integers).add_const_input(from).resize_outputs(false).build();
  with_byte_type(to.dtype, [&]<class T>() {
    iterator.for_each([&](char** data, const int64_t* strides, int64_t columns, int64_t rows) {
      const bool dense = columns == 1 || (strides[0] == 1 && strides[1] == 1);
      // Elements that are not side by side are rows of one each.
      for (int64_t i = 0; i < (dense ? 1 : rows); ++i) {
        const kernels::Matrix<const T> x{reinterpret_cast<const T*>(data[1] + i * strides[3]), dense ? strides[3] : strides[1]};
        const kernels::Matrix<T> y{reinterpret_cast<T*>(data[0] + i * strides[2]), dense ? strides[2] : strides[0]};
        kernels::requantize(x, dense ? rows : columns, dense ? columns : 1, from_qparams, to_qparams, y);
      }
    });
  });
}

bool differ_only_along(int64_t axis, at::IntArrayRef a, at::IntArrayRef b) {
  const auto axis_of_a = a.begin() + axis;
  return a.size() == b.size() && std::equal(a.begin(), axis_of_a, b.begin()) &&
         std::equal(axis_of_a + 1, a.end(), b.begin() + axis + 1);
}

}  // namespace

at::Tensor quantized_add_scalar(const at::Tensor& a, double value) {
  constexpr std::string_view kName = "quantized_add_scalar";
  const Quantizer& own = operand_quantizer(a, kName, "a");
  const DTypeInfo& range = info(own.dtype);
  const double steps = std::nearbyint(value / own.scale);
  check(std::abs(steps) <= 1 << 24, kName, in_module(), ": the value ", value, " is not finite, or too far from a scale of ",
        own.scale, "; expected at most 2^24 steps of it");
  const int64_t zero_point = own.zero_point - static_cast<int64_t>(steps);
  if (range.quant_min <= zero_point && zero_point <= range.quant_max) {
    return make_quantized(octet::int_repr(a).clone(), output_quantizer(own.scale, zero_point, own.dtype, kName));
  }
  const bool is_positive = zero_point < range.quant_min;
  const int64_t new_zero_point = is_positive ? range.quant_min : range.quant_max;
  const int64_t farthest = is_positive ? range.quant_max : range.quant_min;  // from the real zero, of the old integers
  const double growth = static_cast<double>(farthest - zero_point) / static_cast<double>(farthest - new_zero_point);
  return translate(a, output_quantizer(growth * own.scale, new_zero_point, own.dtype, kName),
                   [&](const at::Tensor& values) { return values + steps * own.scale; });
}

at::Tensor quantized_mul_scalar(const at::Tensor& a, double value) {
  constexpr std::string_view kName = "quantized_mul_scalar";
  const Quantizer& own = operand_quantizer(a, kName, "a");
  const DTypeInfo& range = info(own.dtype);
  const at::Tensor integers = octet::int_repr(a);
  if (value == 0) return make_quantized(at::zeros_like(integers), Quantizer::per_tensor(1, 0, own.dtype));
  const bool is_mirrored = value < 0;
  const int64_t zero_point = is_mirrored ? range.quant_min + range.quant_max - own.zero_point : own.zero_point;
  const Quantizer scaled = output_quantizer(std::abs(value) * own.scale, zero_point, own.dtype, kName);
  return make_quantized(is_mirrored ? at::bitwise_not(integers) : integers.clone(), scaled);  // ~q is quant_min + quant_max - q
}

at::Tensor quantized_cat(at::TensorList tensors, int64_t dim, double scale, int64_t zero_point) {
  constexpr std::string_view kName = "quantized_cat";
  check(!tensors.empty(), kName, in_module(), ": there are no tensors to join");
  const DType dtype = operand_quantizer(tensors[0], kName, "tensors[0]").dtype;
  const Quantizer common = output_quantizer(scale, zero_point, dtype, kName);
  const int64_t dims = tensors[0].dim();
  check(-dims <= dim && dim < dims, kName, in_module(), ": `dim` is ", dim, "; expected ", -dims, " .. ", dims - 1,
        " for tensors of sizes ", tensors[0].sizes());
  const int64_t axis = dim < 0 ? dim + dims : dim;
  std::vector<int64_t> sizes = tensors[0].sizes().vec();
  for (size_t i = 1; i < tensors.size(); ++i) {
    const std::string name = c10::str("tensors[", i, "]");
    const DType other = operand_quantizer(tensors[i], kName, name).dtype;
    check(other == dtype, kName, in_module(), ": `", name, "` is ", other, " and the first is ", dtype,
          "; expected one dtype. octet::requantize() it");
    check(differ_only_along(axis, tensors[0].sizes(), tensors[i].sizes()), kName, in_module(), ": `", name, "` has sizes ",
          tensors[i].sizes(), " and the first ", tensors[0].sizes(), "; they may differ in dimension ", axis, " only");
    sizes[axis] += tensors[i].size(axis);
  }
  const at::Tensor first = octet::int_repr(tensors[0]);
  const at::Tensor joined = empty_activation(sizes, first.scalar_type(), first.suggest_memory_format());
  int64_t begin = 0;
  for (const at::Tensor& tensor : tensors) {
    const at::Tensor part = joined.narrow(axis, begin, tensor.size(axis));
    if (quantizer(tensor) == common) {
      part.copy_(octet::int_repr(tensor));
    } else {
      requantize_into(tensor, common, part);
    }
    begin += tensor.size(axis);
  }
  return make_quantized(joined, common);
}

at::Tensor softmax_values(const at::Tensor& a, int64_t dim) {
  constexpr std::string_view kName = "softmax_values";
  const Quantizer& own = operand_quantizer(a, kName, "a");
  check(-a.dim() <= dim && dim < a.dim(), kName, in_module(), ": `dim` is ", dim, "; expected ", -a.dim(), " .. ", a.dim() - 1,
        " for a tensor of sizes ", a.sizes());
  const at::Tensor integers = octet::int_repr(a).movedim(dim, -1).contiguous();
  const at::Tensor probabilities = at::empty(integers.sizes(), at::TensorOptions(at::kFloat));
  const int64_t columns = integers.size(-1), rows = columns ? integers.numel() / columns : 0;
  with_byte_type(own.dtype, [&]<class T>() {
    kernels::softmax(integers.const_data_ptr<T>(), rows, columns, static_cast<float>(own.scale),
                     probabilities.mutable_data_ptr<float>(), parallel_for);
  });
  return probabilities.movedim(-1, dim);
}

at::Tensor requantize(const at::Tensor& tensor, double scale, int64_t zero_point, DType dtype) {
  constexpr std::string_view kName = "requantize";
  check(is_quantized(tensor), kName, in_module(), ": the tensor is not quantized; use quantize_per_tensor()");
  check(info(dtype).bits >= 8, kName, in_module(), ": got the dtype ", dtype, "; expected quint8, qint8 or qint32");
  const Quantizer& own = quantizer(tensor);
  const Quantizer to = output_quantizer(scale, zero_point, dtype, kName);
  const bool has_a_table = !own.is_per_channel() && info(own.dtype).bits == 8 && info(dtype).bits == 8;
  return has_a_table ? translate(tensor, to, identity) : octet::quantize(octet::dequantize(tensor), to);
}

at::Tensor quantized_unary(const at::Tensor& a, const std::function<at::Tensor(const at::Tensor&)>& function, double scale,
                           int64_t zero_point) {
  constexpr std::string_view kName = "quantized_unary";
  const Quantizer& own = operand_quantizer(a, kName, "a");
  return translate(a, output_quantizer(scale, zero_point, own.dtype, kName), function);
}

}  // namespace octet
