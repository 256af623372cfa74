// quantized_matmul: the second operand is packed as a weight is, for each call.
#include <octet/kernels/gemm.h>
#include <octet/tensor/error.h>
#include <octet/tensor/functional.h>
#include <octet/tensor/parallel.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/activation_memory.h>
#include <tensor/in_module.h>
#include <tensor/integers.h>
#include <tensor/operands.h>

#include <ATen/ExpandUtils.h>
#include <ATen/ops/empty.h>

#include <vector>

namespace octet {
namespace {

constexpr std::string_view kName = "quantized_matmul";

// An operand in the sign that gemm() wants; its zero point moves along.
struct Operand {
  at::Tensor integers;
  float scale;
  int32_t zero_point;

  Operand(const at::Tensor& tensor, at::ScalarType wanted) : scale(static_cast<float>(quantizer(tensor).scale)) {
    const ShiftedIntegers shifted = stored_as(octet::int_repr(tensor), wanted);
    integers = shifted.values;
    zero_point = static_cast<int32_t>(quantizer(tensor).zero_point) + shifted.offset;
  }
};

// The products of matrices [batch, m, k] and [batch, n, k].
template <class T>
void multiply(const Operand& a, const Operand& b, const kernels::AffineQParams& out_qparams, const at::Tensor& out) {
  const int64_t batch = out.size(0), m = out.size(1), n = out.size(2), k = b.integers.size(2);
  const int64_t stride = kernels::PackedWeight::padded(k);
  const at::Tensor rows = at::empty({batch, m, stride}, at::kByte);
  rows.narrow(2, 0, k).copy_(a.integers);
  const at::Tensor columns = b.integers.contiguous();
  const kernels::ParallelFor serial = kernels::serial_for, parallel = parallel_for;
  (batch > 1 ? parallel : serial)(0, batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const kernels::PackedWeight packed(columns.const_data_ptr<int8_t>() + i * n * k, n, k);
      kernels::gemm({{rows.const_data_ptr<uint8_t>() + i * m * stride, stride}, m, &a.scale, &a.zero_point}, packed,
                    {&b.scale, false, b.zero_point == 0 ? nullptr : &b.zero_point}, {}, out_qparams,
                    kernels::Matrix<T>{out.mutable_data_ptr<T>() + i * m * n, n}, batch > 1 ? serial : parallel);
    }
  });
}

void check_sizes(at::IntArrayRef a, at::IntArrayRef b) {
  check(a.size() >= 2 && b.size() >= 2 && a.back() == b[b.size() - 2], kName, in_module(), ": `a` has sizes ", a, " and `b` ", b,
        "; expected [..., m, k] and [..., k, n]");
  check(at::are_expandable(a.slice(0, a.size() - 2), b.slice(0, b.size() - 2)), kName, in_module(),
        ": the leading dimensions of `a`, with sizes ", a, ", and `b`, with ", b, ", do not broadcast");
  constexpr int64_t kMax = kernels::PackedWeight::kMaxAffineDepth;
  check(a.back() <= kMax, kName, in_module(), ": sums over k = ", a.back(), " products may not fit int32; expected at most ",
        kMax);
}

}  // namespace

at::Tensor quantized_matmul(const at::Tensor& a, const at::Tensor& b, double scale, int64_t zero_point) {
  const DType dtype = common_dtype(a, b, kName);
  const Quantizer to = output_quantizer(scale, zero_point, dtype, kName);
  check_sizes(a.sizes(), b.sizes());
  const int64_t m = a.size(-2), n = b.size(-1), k = a.size(-1);
  const std::vector<int64_t> batch = at::infer_size(a.sizes().slice(0, a.dim() - 2), b.sizes().slice(0, b.dim() - 2));
  const auto with_batch = [&](int64_t rows, int64_t columns) {
    std::vector<int64_t> sizes = batch;
    sizes.insert(sizes.end(), {rows, columns});
    return sizes;
  };
  Operand left(a, at::kByte);
  Operand right(b, at::kChar);
  const at::Tensor result = empty_activation(with_batch(m, n), info(dtype).storage);
  const bool one_matrix = b.dim() == 2;  // that all rows meet
  const int64_t matrices = one_matrix ? 1 : c10::multiply_integers(batch);
  const int64_t rows = one_matrix ? c10::multiply_integers(batch) * m : m;
  left.integers = left.integers.expand(with_batch(m, k)).reshape({matrices, rows, k});
  right.integers = right.integers.transpose(-1, -2);
  right.integers = one_matrix ? right.integers.unsqueeze(0) : right.integers.expand(with_batch(n, k)).reshape({matrices, n, k});
  const at::Tensor out = result.view({matrices, rows, n});
  with_byte_type(dtype, [&]<class T>() { multiply<T>(left, right, kernel_qparams(to), out); });
  return make_quantized(result, to);
}

}  // namespace octet
