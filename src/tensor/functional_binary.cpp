// quantized_add and quantized_mul: the kernels' rows over tensors of any strides.
#include <octet/kernels/binary.h>
#include <octet/tensor/error.h>
#include <octet/tensor/functional.h>
#include <octet/tensor/parallel.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/activation_memory.h>
#include <tensor/in_module.h>
#include <tensor/integers.h>
#include <tensor/operands.h>
#include <tensor/quantized_tensor_impl.h>

#include <ATen/ExpandUtils.h>
#include <ATen/TensorIterator.h>

#include <algorithm>
#include <array>
#include <memory>
#include <tuple>
#include <utility>

namespace octet {
namespace {

template <class T>
using BinaryKernel = void (*)(const kernels::Operand<T>& a, const kernels::Operand<T>& b, int64_t rows, int64_t columns,
                              const kernels::AffineQParams& out_qparams, kernels::Matrix<T> out);

// A rectangle of elements as TensorIterator hands it out: of the output, of a and of b.
template <class T>
struct Rectangle {
  std::array<T*, 3> data;
  std::array<int64_t, 3> column_stride;
  std::array<int64_t, 3> row_stride;
  int64_t columns;
  int64_t rows;

  Rectangle(char** pointers, const int64_t* strides, int64_t columns, int64_t rows)
      : data{reinterpret_cast<T*>(pointers[0]), reinterpret_cast<T*>(pointers[1]), reinterpret_cast<T*>(pointers[2])},
        column_stride{strides[0], strides[1], strides[2]},
        row_stride{strides[3], strides[4], strides[5]},
        columns(columns),
        rows(rows) {}

  bool has_dense_rows() const { return columns == 1 || column_stride == std::array<int64_t, 3>{1, 1, 1}; }

  T* row(size_t tensor, int64_t index) const { return data[tensor] + index * row_stride[tensor]; }
};

// Calls kernel(rows, columns, out, a, b) with matrices whose rows are dense; rows that are not go through buffers.
template <class T, class Kernel>
void for_dense_rows(const Rectangle<T>& all, const Kernel& kernel) {
  using kernels::Matrix;
  if (all.has_dense_rows()) {
    return kernel(all.rows, all.columns, Matrix<T>{all.data[0], all.row_stride[0]},
                  Matrix<const T>{all.data[1], all.row_stride[1]}, Matrix<const T>{all.data[2], all.row_stride[2]});
  }
  constexpr int64_t kBlock = 1024;
  std::array<std::array<T, kBlock>, 3> buffers;
  for (int64_t row = 0; row < all.rows; ++row) {
    for (int64_t begin = 0; begin < all.columns; begin += kBlock) {
      const int64_t n = std::min(kBlock, all.columns - begin);
      for (const size_t operand : {1, 2}) {
        const T* from = all.row(operand, row) + begin * all.column_stride[operand];
        for (int64_t i = 0; i < n; ++i) buffers[operand][i] = from[i * all.column_stride[operand]];
      }
      kernel(1, n, Matrix<T>{buffers[0].data(), n}, Matrix<const T>{buffers[1].data(), n}, Matrix<const T>{buffers[2].data(), n});
      T* to = all.row(0, row) + begin * all.column_stride[0];
      for (int64_t i = 0; i < n; ++i) to[i * all.column_stride[0]] = buffers[0][i];
    }
  }
}

template <class T>
kernels::Operand<T> operand(kernels::Matrix<const T> q, const Quantizer& quantizer) {
  return {q, static_cast<float>(quantizer.scale), static_cast<int32_t>(quantizer.zero_point)};
}

// Tensors whose elements lie in the same order, as nearly all do: n elements in a row.
template <class T>
void run_dense(const T* a, const T* b, T* out, int64_t n, BinaryKernel<T> kernel, const Quantizer& quantizer_of_a,
               const Quantizer& quantizer_of_b, const kernels::AffineQParams& out_qparams) {
  parallel_for(0, n, at::internal::GRAIN_SIZE, [&](int64_t begin, int64_t end) {
    const int64_t size = end - begin;
    kernel(operand<T>({a + begin, size}, quantizer_of_a), operand<T>({b + begin, size}, quantizer_of_b), 1, size, out_qparams,
           {out + begin, size});
  });
}

template <class T>
void run(at::TensorIterator& iterator, BinaryKernel<T> kernel, const Quantizer& a, const Quantizer& b,
         const kernels::AffineQParams& out_qparams) {
  iterator.for_each([&](char** data, const int64_t* strides, int64_t columns, int64_t rows) {
    for_dense_rows(Rectangle<T>(data, strides, columns, rows), [&](int64_t count, int64_t width, kernels::Matrix<T> out,
                                                                   kernels::Matrix<const T> of_a, kernels::Matrix<const T> of_b) {
      kernel(operand<T>(of_a, a), operand<T>(of_b, b), count, width, out_qparams, out);
    });
  });
}

// One of the kernels' operations, for both dtypes.
struct BinaryOperation {
  std::string_view name;
  std::tuple<BinaryKernel<uint8_t>, BinaryKernel<int8_t>> kernels;
};

at::Tensor combine(const BinaryOperation& operation, const at::Tensor& a, const at::Tensor& b, double scale, int64_t zero_point,
                   bool relu) {
  const DType dtype = common_dtype(a, b, operation.name);
  const Quantizer quantizer_of_a = quantizer(a);
  const Quantizer quantizer_of_b = quantizer(b);
  const Quantizer quantizer_of_result = output_quantizer(scale, zero_point, dtype, operation.name);
  check(at::are_expandable(a.sizes(), b.sizes()), operation.name, in_module(), ": `a` has sizes ", a.sizes(), " and `b` ",
        b.sizes(), ", which do not broadcast");
  kernels::AffineQParams out_qparams = kernel_qparams(quantizer_of_result);
  if (relu) out_qparams.quant_min = out_qparams.zero_point;
  const at::Tensor integers_of_a = octet::int_repr(a);
  const at::Tensor integers_of_b = octet::int_repr(b);
  at::Tensor result;
  if (integers_of_a.sizes() == integers_of_b.sizes() && integers_of_a.strides() == integers_of_b.strides()) {
    result = empty_activation_like(integers_of_a, integers_of_a.scalar_type());
  }
  with_byte_type(dtype, [&]<class T>() {
    const BinaryKernel<T> kernel = std::get<BinaryKernel<T>>(operation.kernels);
    if (result.defined() && integers_of_a.is_non_overlapping_and_dense()) {
      run_dense(integers_of_a.const_data_ptr<T>(), integers_of_b.const_data_ptr<T>(), result.data_ptr<T>(), result.numel(), kernel,
                quantizer_of_a, quantizer_of_b, out_qparams);
      return;
    }
    auto iterator =
        at::TensorIteratorConfig().add_output(result).add_const_input(integers_of_a).add_const_input(integers_of_b).build();
    run<T>(iterator, kernel, quantizer_of_a, quantizer_of_b, out_qparams);
    result = iterator.output();
  });
  return wrap(std::move(result), std::make_shared<const Quantizer>(quantizer_of_result));
}

}  // namespace

at::Tensor quantized_add(const at::Tensor& a, const at::Tensor& b, double scale, int64_t zero_point, bool relu) {
  return combine({"quantized_add", {kernels::add, kernels::add}}, a, b, scale, zero_point, relu);
}

at::Tensor quantized_mul(const at::Tensor& a, const at::Tensor& b, double scale, int64_t zero_point, bool relu) {
  return combine({"quantized_mul", {kernels::multiply, kernels::multiply}}, a, b, scale, zero_point, relu);
}

}  // namespace octet
