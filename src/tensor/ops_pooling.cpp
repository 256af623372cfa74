// Max pools and average pools. 8-bit integers go to the kernels, as they lie in memory; others are pooled as float64, by the op
// itself. For a window of `count` elements (the divisor of the op), an average is
//   q = round(zero_point + (sum of (q_i - zero_point)) / count), halves to the even integer,
// which is ATen's formula in exact arithmetic; padding counts as the real number 0.
#include <octet/kernels/pool.h>
#include <octet/tensor/parallel.h>

#include <tensor/activation_memory.h>
#include <tensor/image.h>
#include <tensor/integers.h>
#include <tensor/on_integers.h>
#include <tensor/op_table.h>

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace octet {
namespace {

using kernels::PoolWindow;
using Windows = std::vector<PoolWindow>;

// Numbers for each dimension of an image, where one number may stand for all.
template <size_t spatial>
std::vector<int64_t> for_all_dimensions(std::vector<int64_t> numbers) {
  if (numbers.size() == 1) numbers.resize(spatial, numbers[0]);
  return numbers;
}

// What the windows of a pool depend on, in one dimension.
struct Extent {
  int64_t in;
  int64_t out;
  int64_t kernel;
  int64_t stride;
  int64_t padding;
};

// Calls make(extent, i) for each dimension of the call's images, the i-th of those that it has; the others have one place.
template <size_t spatial, class Make>
std::array<Windows, 3> pool_windows(OpCall& call, const std::vector<int64_t>& out_sizes, const Make& make) {
  const auto numbers = [&](std::string_view name) { return for_all_dimensions<spatial>(call.argument(name).toIntVector()); };
  const auto kernel = numbers("kernel_size");
  const auto given_stride = numbers("stride");
  const auto stride = given_stride.empty() ? kernel : given_stride;
  const auto padding = numbers("padding");
  const auto in = image_sizes(call.integers().sizes(), spatial);
  const auto out = image_sizes(out_sizes, spatial);
  std::array<Windows, 3> windows;
  windows.fill({PoolWindow{}});
  for (size_t i = 0; i < spatial; ++i) {
    const size_t d = 3 - spatial + i;
    windows[d] = make(Extent{in[d], out[d], kernel[i], stride[i], padding[i]}, i);
  }
  return windows;
}

// Those of the taps that lie in the input.
Windows max_windows(const Extent& extent, int64_t dilation) {
  Windows windows;
  for (int64_t i = 0; i < extent.out; ++i) {
    int64_t begin = i * extent.stride - extent.padding;
    const int64_t end = std::min(begin + (extent.kernel - 1) * dilation + 1, extent.in);
    while (begin < 0) begin += dilation;
    windows.push_back({begin, end, dilation});
  }
  return windows;
}

Windows average_windows(const Extent& extent, bool count_padding) {
  Windows windows;
  for (int64_t i = 0; i < extent.out; ++i) {
    const int64_t begin = i * extent.stride - extent.padding;
    const int64_t end = std::min(begin + extent.kernel, extent.in + extent.padding);
    const PoolWindow inside{std::max<int64_t>(begin, 0), std::min(end, extent.in)};
    windows.push_back({inside.begin, inside.end, 1, count_padding ? end - begin : inside.end - inside.begin});
  }
  return windows;
}

Windows adaptive_windows(int64_t in, int64_t out) {
  Windows windows;
  for (int64_t i = 0; i < out; ++i) {
    const int64_t begin = i * in / out;
    const int64_t end = ((i + 1) * in + out - 1) / out;
    windows.push_back({begin, end, 1, end - begin});
  }
  return windows;
}

// What pool(integers, geometry, result) writes, in the memory format of the argument: channels last, or one image a channel.
template <size_t spatial, class Pool>
at::Tensor pooled(OpCall& call, const std::vector<int64_t>& out_sizes, std::array<Windows, 3> windows, const Pool& pool) {
  // The strides of one volume alone may look like those of a batch of images.
  const bool has_batch = call.integers().dim() == static_cast<int64_t>(spatial) + 2;
  const auto memory_format = has_batch ? call.integers().suggest_memory_format() : at::MemoryFormat::Contiguous;
  const at::Tensor in = call.integers().contiguous(memory_format);
  const at::Tensor out = empty_activation(out_sizes, in.scalar_type(), memory_format);
  const int64_t channels = memory_format == at::MemoryFormat::Contiguous ? 1 : in.size(1);
  const ImageSizes image = image_sizes(in.sizes(), spatial);
  const int64_t image_numel = image[0] * image[1] * image[2] * channels;
  const kernels::PoolGeometry geometry{image_numel == 0 ? 0 : in.numel() / image_numel, channels, image, std::move(windows)};
  with_byte_type(call.quantizer().dtype, [&]<class T>() { pool(in.const_data_ptr<T>(), geometry, out.mutable_data_ptr<T>()); });
  return out;
}

// max_pool3d knows no tensors without data, as result_sizes() takes them; an empty batch is as good.
std::vector<int64_t> max_pool3d_sizes(OpCall& call) {
  std::vector<int64_t> batch = call.integers().sizes().vec();
  const bool is_one_image = batch.size() == 4;
  if (is_one_image) batch.insert(batch.begin(), 0);
  const int64_t images = std::exchange(batch.front(), 0);
  std::vector<int64_t> sizes = call.try_with(at::empty(batch)).sizes().vec();
  sizes.front() = images;
  if (is_one_image) sizes.erase(sizes.begin());
  return sizes;
}

template <size_t spatial>
void max_pool(OpCall& call) {
  if (info(call.quantizer().dtype).bits != 8) return on_integers_as_floats(call);
  const auto sizes = spatial == 3 ? max_pool3d_sizes(call) : result_sizes(call);
  const auto dilation = for_all_dimensions<spatial>(call.argument("dilation").toIntVector());
  auto windows =
      pool_windows<spatial>(call, sizes, [&](const Extent& extent, size_t i) { return max_windows(extent, dilation[i]); });
  call.answer_integers(
      pooled<spatial>(call, sizes, std::move(windows), [](const auto* in, const kernels::PoolGeometry& geometry, auto* out) {
        kernels::max_pool(in, geometry, out, parallel_for);
      }));
}

template <size_t spatial>
at::Tensor averaged(OpCall& call, const std::vector<int64_t>& out_sizes, std::array<Windows, 3> windows, int32_t zero_point) {
  return pooled<spatial>(call, out_sizes, std::move(windows),
                         [&](const auto* in, const kernels::PoolGeometry& geometry, auto* out) {
                           kernels::average_pool(in, geometry, zero_point, out, parallel_for);
                         });
}

// The op on the differences from the zero point, in float64: ties are exact in it.
void average_as_double(OpCall& call) {
  const auto zero_point = static_cast<double>(call.quantizer().zero_point);
  const at::Tensor averages = call.try_with(call.integers().to(at::kDouble).sub_(zero_point));
  const DTypeInfo& dtype = info(call.quantizer().dtype);
  call.answer_integers(averages.add(zero_point).round_().clamp_(dtype.quant_min, dtype.quant_max).to(dtype.storage));
}

template <size_t spatial>
void average(OpCall& call, const std::vector<int64_t>& out_sizes, std::array<Windows, 3> windows) {
  int64_t most = 1;
  for (const Windows& dimension : windows) {
    int64_t longest = 0;
    for (const PoolWindow& window : dimension) longest = std::max(longest, window.end - window.begin);
    most *= longest;
  }
  if (info(call.quantizer().dtype).bits != 8 || most > kernels::kMaxAverageSize) return average_as_double(call);
  const auto zero_point = static_cast<int32_t>(call.quantizer().zero_point);
  call.answer_integers(averaged<spatial>(call, out_sizes, std::move(windows), zero_point));
}

template <size_t spatial>
void average_pool(OpCall& call) {
  const auto sizes = result_sizes(call);
  const bool count_padding = call.argument("count_include_pad").toBool();
  auto windows =
      pool_windows<spatial>(call, sizes, [&](const Extent& extent, size_t) { return average_windows(extent, count_padding); });
  if (const auto divisor = call.argument("divisor_override").toOptional<int64_t>()) {
    for (size_t d = 0; d < 3; ++d) {
      for (PoolWindow& window : windows[d]) window.divisor = d == 0 ? *divisor : 1;
    }
  }
  average<spatial>(call, sizes, std::move(windows));
}

template <size_t spatial>
std::array<Windows, 3> adaptive_windows(at::IntArrayRef in_sizes, at::IntArrayRef out_sizes) {
  const auto in = image_sizes(in_sizes, spatial);
  const auto out = image_sizes(out_sizes, spatial);
  std::array<Windows, 3> windows;
  for (size_t d = 0; d < 3; ++d) windows[d] = adaptive_windows(in[d], out[d]);
  return windows;
}

template <size_t spatial>
at::Tensor means_of_images(OpCall& call) {
  const at::IntArrayRef in_sizes = call.integers().sizes();
  std::vector<int64_t> sizes(in_sizes.size(), 1);
  std::copy_n(in_sizes.begin(), 2, sizes.begin());
  // As if the zero point were 0: halves are to become even integers, not even differences from it.
  return averaged<spatial>(call, sizes, adaptive_windows<spatial>(in_sizes, sizes), /*zero_point=*/0);
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
  average<spatial>(call, sizes, adaptive_windows<spatial>(in_sizes, sizes));
}

}  // namespace

at::Tensor means_of_images(OpCall& call) {
  return call.integers().dim() == 5 ? means_of_images<3>(call) : means_of_images<2>(call);
}

std::span<const OpRow> pooling_ops() {
  static constexpr OpRow kRows[] = {
      {"max_pool1d", max_pool<1>},
      {"max_pool2d", max_pool<2>},
      {"max_pool3d", max_pool<3>},
      {"max_pool2d_with_indices", on_integers},
      {"max_pool3d_with_indices", on_integers},
      {"adaptive_max_pool2d", on_integers_as_floats},
      {"adaptive_max_pool3d", on_integers_as_floats},
      {"avg_pool2d", average_pool<2>},
      {"avg_pool3d", average_pool<3>},
      {"_adaptive_avg_pool2d", adaptive_average_pool<2>},
      {"_adaptive_avg_pool3d", adaptive_average_pool<3>},
  };
  return kRows;
}

}  // namespace octet
