// Ops that average: exact sums of the integers, rounded once. For a window of `count` elements (the divisor of the op),
//   q = round(zero_point + (sum of (q_i - zero_point)) / count), halves to the even integer,
// which is ATen's formula in exact arithmetic; padding counts as the real number 0.
#include <tensor/image.h>
#include <tensor/integers.h>
#include <tensor/op_table.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>

#include <algorithm>
#include <array>
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

// What one output index averages along one dimension.
struct Window {
  int64_t begin;
  int64_t end;
  int64_t padded_size;  // with the part that lies in the padding
};
using Windows = std::vector<Window>;

// How much one window sum is divided by.
struct Divisor {
  std::optional<int64_t> fixed;
  bool include_padding = false;
};

Windows pool_windows(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding) {
  Windows windows;
  for (int64_t i = 0; i < out; ++i) {
    const int64_t begin = i * stride - padding;
    const int64_t end = std::min(begin + kernel, in + padding);
    windows.push_back({std::max<int64_t>(begin, 0), std::min(end, in), end - begin});
  }
  return windows;
}

Windows adaptive_windows(int64_t in, int64_t out) {
  Windows windows;
  for (int64_t i = 0; i < out; ++i) {
    const int64_t begin = i * in / out;
    const int64_t end = ((i + 1) * in + out - 1) / out;
    windows.push_back({begin, end, end - begin});
  }
  return windows;
}

template <class T>
class WindowAverage {
 public:
  WindowAverage(const Quantizer& quantizer, const std::array<Windows, 3>& windows, Divisor divisor, ImageSizes image)
      : quantizer_(quantizer), windows_(windows), divisor_(divisor), image_(image) {}

  void average_image(const T* from, T* to) const {
    for (const Window& depth : windows_[0]) {
      for (const Window& height : windows_[1]) {
        for (const Window& width : windows_[2]) *to++ = average(from, depth, height, width);
      }
    }
  }

 private:
  T average(const T* from, const Window& depth, const Window& height, const Window& width) const {
    const auto length = [](const Window& window) { return std::max<int64_t>(window.end - window.begin, 0); };
    int64_t sum = 0;
    for (int64_t d = depth.begin; d < depth.end; ++d) {
      for (int64_t h = height.begin; h < height.end; ++h) {
        const T* row = from + (d * image_[1] + h) * image_[2];
        for (int64_t w = width.begin; w < width.end; ++w) sum += row[w];
      }
    }
    const int64_t count = length(depth) * length(height) * length(width);
    if (count == 0) return static_cast<T>(quantizer_.zero_point);
    const int64_t padded = depth.padded_size * height.padded_size * width.padded_size;
    const int64_t divisor = divisor_.fixed.value_or(divisor_.include_padding ? padded : count);
    const int64_t centered = sum - quantizer_.zero_point * count;
    const int64_t q = divide_half_to_even(centered + quantizer_.zero_point * divisor, divisor);
    const DTypeInfo& dtype = info(quantizer_.dtype);
    return static_cast<T>(std::clamp(q, dtype.quant_min, dtype.quant_max));
  }

  const Quantizer& quantizer_;
  const std::array<Windows, 3>& windows_;
  Divisor divisor_;
  ImageSizes image_;
};

void answer_window_average(OpCall& call, const std::vector<int64_t>& out_sizes, const std::array<Windows, 3>& windows,
                           Divisor divisor, ImageSizes image) {
  answer_images(call, image, out_sizes, [&]<class T>(const T* from, T* to) {
    WindowAverage<T>(call.quantizer(), windows, divisor, image).average_image(from, to);
  });
}

template <size_t spatial>
void average_pool(OpCall& call) {
  const auto expanded = [&](std::string_view name) {  // one number stands for all dimensions
    auto numbers = call.argument(name).toIntVector();
    if (numbers.size() == 1) numbers.resize(spatial, numbers[0]);
    return numbers;
  };
  const auto sizes = result_sizes(call);
  const auto kernel = expanded("kernel_size");
  const auto given_stride = expanded("stride");
  const auto stride = given_stride.empty() ? kernel : given_stride;
  const auto padding = expanded("padding");
  const auto in = image_sizes(call.integers().sizes(), spatial);
  const auto out = image_sizes(sizes, spatial);
  std::array<Windows, 3> windows;
  for (size_t d = 0; d < 3; ++d) {
    const size_t i = d - (3 - spatial);  // of the numbers that were given
    windows[d] = d < 3 - spatial ? adaptive_windows(1, 1) : pool_windows(in[d], out[d], kernel[i], stride[i], padding[i]);
  }
  const Divisor divisor{call.argument("divisor_override").toOptional<int64_t>(), call.argument("count_include_pad").toBool()};
  answer_window_average(call, sizes, windows, divisor, in);
}

template <size_t spatial>
void adaptive_average_pool(OpCall& call) {
  const at::IntArrayRef in_sizes = call.integers().sizes();
  const auto image = call.argument("output_size").toIntVector();
  if (in_sizes.size() != spatial + 1 && in_sizes.size() != spatial + 2) {
    refuse("the tensor has sizes ", in_sizes, ", not those of one image or a batch");
  }
  auto sizes = in_sizes.vec();
  std::copy(image.begin(), image.end(), sizes.end() - spatial);
  const auto in = image_sizes(in_sizes, spatial);
  const auto out = image_sizes(sizes, spatial);
  std::array<Windows, 3> windows;
  for (size_t d = 0; d < 3; ++d) windows[d] = adaptive_windows(in[d], out[d]);
  answer_window_average(call, sizes, windows, {}, in);
}

void check_mean(OpCall& call) {
  const auto dtype = call.argument("dtype").toOptional<at::ScalarType>().value_or(at::kFloat);
  if (dtype != at::kFloat) refuse("the mean of a quantized tensor is quantized, not ", dtype);
  if (call.integers().numel() == 0) refuse("the mean of no elements is not a number");
}

void answer_mean(OpCall& call, const at::Tensor& sums) {
  const int64_t count = call.integers().numel() / sums.numel();
  const at::Tensor means = at::empty(sums.sizes(), call.integers().options());
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

void mean(OpCall& call) {
  check_mean(call);
  answer_mean(call, at::sum(call.integers(), at::kLong));
}

void mean_dim(OpCall& call) {
  check_mean(call);
  const auto dim = call.argument("dim").toOptional<std::vector<int64_t>>().value_or(std::vector<int64_t>());  // none: all
  answer_mean(call, at::sum(call.integers(), dim, call.argument("keepdim").toBool(), at::kLong));
}

}  // namespace

std::span<const OpRow> averaging_ops() {
  static constexpr OpRow kRows[] = {
      {"avg_pool2d", average_pool<2>},
      {"avg_pool3d", average_pool<3>},
      {"_adaptive_avg_pool2d", adaptive_average_pool<2>},
      {"_adaptive_avg_pool3d", adaptive_average_pool<3>},
      {"mean", mean},
      {"mean.dim", mean_dim},
  };
  return kRows;
}

}  // namespace octet
