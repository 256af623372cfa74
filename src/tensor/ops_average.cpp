// Means: exact sums of the integers, rounded once. Of n elements,
//   q = round(sum of q_i / n), halves to the even integer, in the quantizer of the argument.
#include <octet/kernels/pool.h>

#include <tensor/activation_memory.h>
#include <tensor/image.h>
#include <tensor/integers.h>
#include <tensor/op_table.h>

#include <ATen/ops/sum.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace octet {
namespace {

// n / d to the nearest integer, halves to even.
int64_t divide_half_to_even(int64_t n, int64_t d) {
  if (d < 0) {
    n = -n;
    d = -d;
  }
  int64_t quotient = n / d;
  int64_t remainder = n % d;
  if (remainder < 0) {
    remainder += d;
    --quotient;
  }
  const bool up = 2 * remainder > d || (2 * remainder == d && quotient % 2 != 0);
  return quotient + (up ? 1 : 0);
}

void check_mean(OpCall& call) {
  const auto dtype = call.argument("dtype").toOptional<at::ScalarType>().value_or(at::kFloat);
  if (dtype != at::kFloat) refuse("the mean of a quantized tensor is quantized, not ", dtype);
  if (call.integers().numel() == 0) refuse("the mean of no elements is not a number");
}

void answer_mean(OpCall& call, const at::Tensor& sums) {
  const int64_t count = call.integers().numel() / sums.numel();
  const at::Tensor means = empty_activation(sums.sizes(), call.integers().scalar_type());
  const at::Tensor dense = sums.contiguous();
  with_integer_type(call.quantizer().dtype, [&]<class T>() {
    const auto* sum = dense.const_data_ptr<int64_t>();
    auto* mean = means.mutable_data_ptr<T>();
    for (int64_t i = 0; i < means.numel(); ++i) {
      mean[i] = static_cast<T>(divide_half_to_even(sum[i], count));
    }
  });
  call.answer_integers(means);
}

/// Whether the dimensions are all of the images' but the first two, and these are what means_of_images() takes:
/// adaptive_avg_pool2d(x, 1) comes here.
bool are_whole_images(OpCall& call, std::vector<int64_t> dim) {
  const at::Tensor& x = call.integers();
  if (x.dim() < 4 || x.dim() > 5 || static_cast<int64_t>(dim.size()) != x.dim() - 2) return false;
  for (int64_t& d : dim) d = d < 0 ? d + x.dim() : d;
  std::sort(dim.begin(), dim.end());
  for (int64_t i = 0; i < x.dim() - 2; ++i) {
    if (dim[i] != i + 2) return false;
  }
  return info(call.quantizer().dtype).bits == 8 && x.numel() / (x.size(0) * x.size(1)) <= kernels::kMaxAverageSize;
}

void mean(OpCall& call) {
  check_mean(call);
  answer_mean(call, at::sum(call.integers(), at::kLong));
}

void mean_dim(OpCall& call) {
  check_mean(call);
  const auto dim = call.argument("dim").toOptional<std::vector<int64_t>>().value_or(std::vector<int64_t>());  // none: all
  const bool keepdim = call.argument("keepdim").toBool();
  if (are_whole_images(call, dim)) {
    const at::Tensor means = means_of_images(call);
    return call.answer_integers(keepdim ? means : means.flatten(1));
  }
  answer_mean(call, at::sum(call.integers(), dim, keepdim, at::kLong));
}

}  // namespace

std::span<const OpRow> averaging_ops() {
  static constexpr OpRow kRows[] = {
      {"mean", mean},
      {"mean.dim", mean_dim},
  };
  return kRows;
}

}  // namespace octet
