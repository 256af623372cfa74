#include <octet/kernels/convolution.h>

#include <algorithm>
#include <numeric>
#include <string_view>

#include "kernels/check.h"
#include "kernels/convolution_layout.h"

namespace octet::kernels {
namespace {

void check_at_least(int64_t bound, const Spatial& sizes, std::string_view what) {
  for (const int64_t size : sizes) {
    check(size >= bound, "PackedConvolution: ", what, " must be at least ", bound, ", got ", sizes[0], " x ", sizes[1], " x ",
          sizes[2]);
  }
}

void check_geometry(const ConvolutionGeometry& g) {
  check(g.in_channels >= 1 && g.out_channels >= 1 && g.groups >= 1,
        "PackedConvolution: channels and groups must be positive, got ", g.in_channels, " input channels, ", g.out_channels,
        " output channels, ", g.groups, " groups");
  check(g.in_channels % g.groups == 0 && g.out_channels % g.groups == 0, "PackedConvolution: ", g.groups,
        " groups do not divide ", g.in_channels, " input channels and ", g.out_channels, " output channels");
  check_at_least(1, g.kernel, "the kernel's sizes");
  check_at_least(1, g.stride, "strides");
  check_at_least(1, g.dilation, "dilations");
  check_at_least(0, g.padding, "paddings");
  check_at_least(0, g.output_padding, "output paddings");
  check(g.transposed || g.output_padding == Spatial{}, "PackedConvolution: only transposed convolutions have an output padding");
  const int64_t depth = g.taps() * (g.in_channels / g.groups);
  check(depth <= PackedWeight::kMaxDepth, "PackedConvolution: a sum has ", depth, " products (", g.taps(), " taps of ",
        g.in_channels / g.groups, " channels), but only ", PackedWeight::kMaxDepth,
        " products of 8-bit integers always fit int32; split the layer along its inputs");
}

/// The phases along one dimension.
std::vector<PhaseAxis> phase_axes(const ConvolutionGeometry& g, size_t dimension) {
  const int64_t kernel = g.kernel[dimension], stride = g.stride[dimension];
  const int64_t padding = g.padding[dimension], dilation = g.dilation[dimension];
  if (!g.transposed) return {{0, 1, -padding, stride, kernel, dilation, 0, 1}};
  // Element k of the kernel brings input i to output i * stride - padding + k * dilation. So it serves output
  // `first + j * stride` if it divides first + padding - k * dilation by the stride, and every `step`-th element does then.
  // Taken backwards, the elements meet the inputs in their order.
  std::vector<PhaseAxis> axes;
  const int64_t divisor = std::gcd(stride, dilation), step = stride / divisor;
  for (int64_t first = 0; first < stride; ++first) {
    const auto numerator = [&](int64_t k) { return first + padding - k * dilation; };
    int64_t last = kernel - 1;
    while (last >= 0 && last >= kernel - step && numerator(last) % stride != 0) --last;
    const bool any = last >= 0 && numerator(last) % stride == 0;
    axes.push_back({first, stride, any ? numerator(last) / stride : 0, 1, any ? last / step + 1 : 0, dilation / divisor,
                    any ? last : 0, -step});
  }
  return axes;
}

/// Calls `visit(tap, kernel's element)` for each tap of a phase, in their order.
template <class Visit>
void for_each_tap(const Phase& phase, const Spatial& kernel, const Visit& visit) {
  const auto& [depth, height, width] = phase.axes;
  int64_t tap = 0;
  for (int64_t d = 0; d < depth.taps; ++d) {
    for (int64_t h = 0; h < height.taps; ++h) {
      for (int64_t w = 0; w < width.taps; ++w) {
        visit(tap++, (depth.kernel(d) * kernel[1] + height.kernel(h)) * kernel[2] + width.kernel(w));
      }
    }
  }
}

/// How the weight of a phase and group maps onto the whole weight: calls `visit(part, whole, count)` for each run of `count`
/// elements, with their offsets in both.
template <class Visit>
void for_each_run(const ConvolutionGeometry& g, const Phase& phase, int64_t group, const Visit& visit) {
  const int64_t outputs = g.out_channels / g.groups, inputs = g.in_channels / g.groups;
  for (int64_t c = 0; c < outputs; ++c) {
    for_each_tap(phase, g.kernel, [&](int64_t tap, int64_t element) {
      visit((c * phase.taps() + tap) * inputs, ((group * outputs + c) * g.taps() + element) * inputs, inputs);
    });
  }
}

std::vector<PackedWeight> pack_groups(const int8_t* weight, const ConvolutionGeometry& g, const Phase& phase) {
  const int64_t outputs = g.out_channels / g.groups, depth = phase.taps() * (g.in_channels / g.groups);
  std::vector<PackedWeight> groups;
  std::vector<int8_t> part(outputs * depth);
  for (int64_t group = 0; group < g.groups; ++group) {
    for_each_run(g, phase, group, [&](int64_t to, int64_t from, int64_t n) { std::copy_n(weight + from, n, &part[to]); });
    groups.emplace_back(part.data(), outputs, depth);
  }
  return groups;
}

void unpack_groups(const ConvolutionGeometry& g, const Phase& phase, int8_t* weight) {
  std::vector<int8_t> part(g.out_channels / g.groups * phase.taps() * (g.in_channels / g.groups));
  for (int64_t group = 0; group < g.groups; ++group) {
    phase.groups[group].unpack(part.data());
    for_each_run(g, phase, group, [&](int64_t from, int64_t to, int64_t n) { std::copy_n(&part[from], n, weight + to); });
  }
}

DepthwiseWeight pack_depthwise(const int8_t* weight, const ConvolutionGeometry& g, const Phase& phase) {
  DepthwiseWeight packed{std::vector<int16_t>((phase.taps() + 1) / 2 * g.out_channels * 2),
                         std::vector<int8_t>(phase.taps() * g.out_channels), std::vector<int32_t>(g.out_channels)};
  for (int64_t channel = 0; channel < g.out_channels; ++channel) {
    for_each_tap(phase, g.kernel, [&](int64_t tap, int64_t element) {
      const int8_t value = weight[channel * g.taps() + element];
      packed.values[packed.at(tap, channel)] = value;
      packed.bytes[tap * g.out_channels + channel] = value;
      packed.sums[channel] += value;
    });
  }
  return packed;
}

void unpack_depthwise(const ConvolutionGeometry& g, const Phase& phase, int8_t* weight) {
  const DepthwiseWeight& packed = phase.depthwise;
  for (int64_t channel = 0; channel < g.out_channels; ++channel) {
    for_each_tap(phase, g.kernel, [&](int64_t tap, int64_t element) {
      weight[channel * g.taps() + element] = static_cast<int8_t>(packed.values[packed.at(tap, channel)]);
    });
  }
}

/// Of some sums of so many products each.
int64_t largest_sum(const int8_t* weight, int64_t sums, int64_t products) {
  int64_t largest = 0;
  for (int64_t sum = 0; sum < sums; ++sum) {
    int64_t positive = 0, negative = 0;
    for (int64_t i = 0; i < products; ++i) {
      const int64_t w = weight[sum * products + i];
      (w > 0 ? positive : negative) += w;
    }
    largest = std::max({largest, positive, -negative});
  }
  return 255 * largest;
}

/// With as many groups as fill a panel made one. That costs nothing: a panel's columns have products with the channels of all its
/// groups, but those of one group would have whole panels.
ConvolutionGeometry joined_geometry(const ConvolutionGeometry& g) {
  ConvolutionGeometry joined = g;
  if (is_depthwise(g)) return joined;
  const int64_t columns = g.out_channels / g.groups, depth = g.taps() * (g.in_channels / g.groups);
  const int64_t most = std::min(PackedWeight::kPanelColumns / columns, PackedWeight::kMaxAffineDepth / depth);
  for (int64_t count = 1; count <= most; ++count) {
    if (g.groups % count == 0) joined.groups = g.groups / count;
  }
  return joined;
}

/// How a weight lies in that of joined groups: calls `visit(part, whole, count)` for each output channel's and tap's weights.
template <class Visit>
void for_each_block(const ConvolutionGeometry& g, const ConvolutionGeometry& joined, const Visit& visit) {
  const int64_t inputs = g.in_channels / g.groups, joined_inputs = joined.in_channels / joined.groups;
  for (int64_t c = 0; c < g.out_channels; ++c) {
    const int64_t first_input = c / (g.out_channels / g.groups) * inputs % joined_inputs;
    for (int64_t row = c * g.taps(); row < (c + 1) * g.taps(); ++row) {
      visit(row * inputs, row * joined_inputs + first_input, inputs);
    }
  }
}

/// Between groups stand the weight's zero points.
std::vector<int8_t> join_weight(const int8_t* weight, const ConvolutionGeometry& g, const ConvolutionGeometry& joined,
                                const WeightQParams& qparams) {
  const int64_t depth = g.taps() * (joined.in_channels / joined.groups);
  std::vector<int8_t> whole(g.out_channels * depth);
  for (int64_t c = 0; qparams.zero_point && c < g.out_channels; ++c) {
    std::fill_n(&whole[c * depth], depth, static_cast<int8_t>(qparams.zero_point[qparams.per_channel ? c : 0]));
  }
  for_each_block(g, joined, [&](int64_t part, int64_t at, int64_t count) { std::copy_n(weight + part, count, &whole[at]); });
  return whole;
}

}  // namespace

Spatial ConvolutionGeometry::output_size(const Spatial& input) const {
  Spatial size;
  for (size_t i = 0; i < size.size(); ++i) {
    const int64_t extent = dilation[i] * (kernel[i] - 1) + 1;
    const int64_t room = input[i] + 2 * padding[i] - extent;
    if (transposed) {
      size[i] = (input[i] - 1) * stride[i] - 2 * padding[i] + extent + output_padding[i];
    } else {
      size[i] = room < 0 ? 0 : room / stride[i] + 1;
    }
  }
  return size;
}

Range PhaseAxis::hits(int64_t j, int64_t input_size) const {
  const int64_t first = input(j, 0), last = input(j, taps - 1);
  if (first >= 0 && last < input_size) return {0, taps};
  const int64_t begin = first < 0 ? std::min((-first + tap_spacing - 1) / tap_spacing, taps) : 0;
  const int64_t end = first < input_size ? std::min((input_size - 1 - first) / tap_spacing + 1, taps) : 0;
  return {begin, std::max(begin, end)};
}

Range PhaseAxis::inside(int64_t input_size) const {
  const int64_t before = std::max<int64_t>(-input(0, 0), 0);  // how far the first output's first tap is outside
  const int64_t room = input_size - 1 - input(0, taps - 1);
  const int64_t begin = (before + input_step - 1) / input_step;
  return {begin, room < 0 ? begin : std::max(room / input_step + 1, begin)};
}

PackedConvolution::PackedConvolution(const int8_t* weight, const ConvolutionGeometry& geometry) {
  check_geometry(geometry);
  const auto layout = std::make_shared<Layout>(Layout{.geometry = geometry, .phases = {}, .joined = {}});
  layout_ = layout;
  if (const ConvolutionGeometry joined = joined_geometry(geometry); joined.groups < geometry.groups) {
    layout->joined.emplace(join_weight(weight, geometry, joined, {}).data(), joined);
    return;
  }
  const int64_t planes = geometry.kernel[0], products = geometry.taps() * (geometry.in_channels / geometry.groups);
  layout->largest_sum = largest_sum(weight, geometry.out_channels, products);
  layout->largest_plane_sum = largest_sum(weight, geometry.out_channels * planes, products / planes);
  for (const PhaseAxis& depth : phase_axes(geometry, 0)) {
    for (const PhaseAxis& height : phase_axes(geometry, 1)) {
      for (const PhaseAxis& width : phase_axes(geometry, 2)) {
        Phase phase{{depth, height, width}, {}, {}};
        if (is_depthwise(geometry)) {
          phase.depthwise = pack_depthwise(weight, geometry, phase);
        } else {
          phase.groups = pack_groups(weight, geometry, phase);
        }
        layout->phases.push_back(std::move(phase));
      }
    }
  }
}

const ConvolutionGeometry& PackedConvolution::geometry() const { return layout_->geometry; }

int64_t PackedConvolution::depth() const { return geometry().taps() * (geometry().in_channels / geometry().groups); }

int64_t PackedConvolution::bytes() const {
  int64_t bytes = layout_->joined ? layout_->joined->bytes() : 0;
  for (const Phase& phase : layout_->phases) {
    const DepthwiseWeight& depthwise = phase.depthwise;
    bytes += static_cast<int64_t>(depthwise.values.size() * sizeof(int16_t) + depthwise.bytes.size() +
                                  depthwise.sums.size() * sizeof(int32_t));
    for (const PackedWeight& group : phase.groups) bytes += group.bytes();
  }
  return bytes;
}

void PackedConvolution::unpack(int8_t* weight) const {
  if (const std::optional<PackedConvolution>& joined = layout_->joined) {
    std::vector<int8_t> whole(geometry().out_channels * joined->depth());
    joined->unpack(whole.data());
    for_each_block(geometry(), joined->geometry(),
                   [&](int64_t part, int64_t at, int64_t count) { std::copy_n(&whole[at], count, weight + part); });
    return;
  }
  const auto unpack_phase = is_depthwise(geometry()) ? unpack_depthwise : unpack_groups;
  for (const Phase& phase : layout_->phases) unpack_phase(geometry(), phase, weight);
}

PackedConvolution with_joined_groups(const PackedConvolution& weight, const WeightQParams& qparams) {
  const std::optional<PackedConvolution>& joined = weight.layout().joined;
  if (!joined || !qparams.zero_point) return joined.value_or(weight);
  const ConvolutionGeometry& g = weight.geometry();
  std::vector<int8_t> unpacked(g.out_channels * weight.depth());
  weight.unpack(unpacked.data());
  return {join_weight(unpacked.data(), g, joined->geometry(), qparams).data(), joined->geometry()};
}

}  // namespace octet::kernels
