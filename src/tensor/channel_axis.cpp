#include <tensor/channel_axis.h>
#include <tensor/op_call.h>

#include <ATen/ops/arange.h>

#include <utility>

namespace octet {
namespace {

// The numbers along one dimension, taken where all other indices are 0.
at::Tensor numbers_along(const at::Tensor& numbers, int64_t axis) {
  at::Tensor line = numbers;
  for (int64_t d = numbers.dim() - 1; d >= 0; --d) {
    if (d != axis) line = line.select(d, 0);
  }
  return line;
}

std::vector<int64_t> sizes_along(int64_t dim, int64_t axis, int64_t channels) {
  std::vector<int64_t> sizes(dim, 1);
  sizes[axis] = channels;
  return sizes;
}

bool change_along(const at::Tensor& numbers, int64_t axis) {
  const at::Tensor line = numbers_along(numbers, axis);
  return numbers.equal(line.reshape(sizes_along(numbers.dim(), axis, line.numel())).expand_as(numbers));
}

// The dimension that the channels change along, or -1.
int64_t find_axis(const at::Tensor& numbers, int64_t before) {
  const bool one_channel = numbers.numel() > 0 && numbers.eq(numbers.flatten()[0]).all().item<bool>();
  const auto fits = [&](int64_t axis) {
    return axis < numbers.dim() && (!one_channel || numbers.size(axis) == 1) && change_along(numbers, axis);
  };
  if (fits(before)) return before;
  for (int64_t axis = 0; axis < numbers.dim(); ++axis) {
    if (fits(axis)) return axis;
  }
  return -1;
}

}  // namespace

at::Tensor channel_numbers(const at::Tensor& quantized) {
  const Quantizer& quantizer = *static_cast<const QuantizedTensorImpl&>(*quantized.unsafeGetTensorImpl()).quantizer();
  const int64_t channels = quantizer.scales.numel();
  const at::Tensor line = at::arange(channels, at::kLong);
  // Elements that share memory, as those of an expanded tensor do, must be of one channel: contiguous() would hide nothing.
  return line.reshape(sizes_along(quantized.dim(), quantizer.axis, channels)).expand(quantized.sizes()).contiguous();
}

std::shared_ptr<const Quantizer> quantizer_of_channels(const at::Tensor& numbers, const Quantizer& before) {
  auto after = std::make_shared<Quantizer>(before);
  if (numbers.numel() == 0) {
    if (before.axis < numbers.dim() && numbers.size(before.axis) == before.scales.numel()) return after;
    refuse("it would leave a per-channel tensor without a value to tell the axis by");
  }
  const int64_t axis = find_axis(numbers, before.axis);
  if (axis >= 0) {
    const at::Tensor channels = numbers_along(numbers, axis);
    after->axis = axis;
    after->scales = before.scales.index_select(0, channels);
    after->zero_points = before.zero_points.index_select(0, channels);
    return after;
  }
  const at::Tensor flat = numbers.flatten();
  if (!flat.eq(flat[0]).all().item<bool>())
    refuse("it would spread the channels of a per-channel tensor over several dimensions");
  if (before.qscheme == per_channel_affine_float_qparams) refuse("it would leave a single channel with a float zero point");
  const int64_t channel = flat[0].item<int64_t>();
  *after =
      Quantizer::per_tensor(before.scales[channel].item<double>(), before.zero_points[channel].item<int64_t>(), before.dtype);
  return after;
}

}  // namespace octet
