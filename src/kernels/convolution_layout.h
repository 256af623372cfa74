#pragma once

#include <octet/kernels/convolution.h>
#include <octet/kernels/packed_weight.h>

#include <array>
#include <optional>
#include <vector>

namespace octet::kernels {

/// [begin, end)
struct Range {
  int64_t begin, end;
};

/// Which taps make the outputs of a phase, along one dimension. The phase's output j is that of the convolution at
/// `output_first + j * output_step`. Its tap t reads the input at `input_first + j * input_step + t * tap_spacing`, and is the
/// kernel's element `kernel_first + t * kernel_step`.
struct PhaseAxis {
  int64_t output_first, output_step;
  int64_t input_first, input_step;
  int64_t taps, tap_spacing;
  int64_t kernel_first, kernel_step;

  int64_t outputs(int64_t output_size) const { return (output_size - output_first + output_step - 1) / output_step; }
  int64_t output(int64_t j) const { return output_first + j * output_step; }
  int64_t input(int64_t j, int64_t tap) const { return input_first + j * input_step + tap * tap_spacing; }
  int64_t kernel(int64_t tap) const { return kernel_first + tap * kernel_step; }

  /// The taps of output j that read an element of the input rather than its padding.
  Range hits(int64_t j, int64_t input_size) const;
  /// The outputs none of whose taps is in the padding; they may reach beyond the last output.
  Range inside(int64_t input_size) const;
};

/// The weight of a depthwise phase, in two forms: with taps in pairs, for an instruction that multiplies two pairs of 16-bit
/// integers and adds the products, and as bytes, which kernels lay out as they do the input.
struct DepthwiseWeight {
  std::vector<int16_t> values;  ///< [pairs of taps][channels][2]; an odd last tap is paired with a zero
  std::vector<int8_t> bytes;    ///< [taps][channels]
  std::vector<int32_t> sums;    ///< [channels]

  /// Where a value lies.
  int64_t at(int64_t tap, int64_t channel) const { return (tap / 2 * static_cast<int64_t>(sums.size()) + channel) * 2 + tap % 2; }
};

/// Whether each output channel reads one channel of the input. (Where there is but one and it has many taps, they make a GEMM's
/// sums as well as channels do.)
inline bool is_depthwise(const ConvolutionGeometry& geometry) {
  constexpr int64_t kMostTapsOfOneChannel = 25;
  return geometry.groups == geometry.in_channels && (geometry.groups > 1 || geometry.taps() <= kMostTapsOfOneChannel);
}

/// Outputs that use the same taps. An ordinary convolution is one phase. In a transposed one outputs that are a stride apart
/// meet the inputs with the same elements of the kernel, and other outputs with others: it has as many phases as a stride
/// has steps, each of them an ordinary convolution of stride 1 with a part of the kernel.
struct Phase {
  std::array<PhaseAxis, 3> axes;
  /// For each group: its output channels times the taps, in the order of the axes, times its input channels.
  std::vector<PackedWeight> groups;
  DepthwiseWeight depthwise;  ///< instead of the groups, if that is what the convolution is

  int64_t rows() const { return axes[0].taps * axes[1].taps; }  ///< of taps
  int64_t taps() const { return axes[0].taps * axes[1].taps * axes[2].taps; }
};

struct PackedConvolution::Layout {
  ConvolutionGeometry geometry;
  std::vector<Phase> phases;
  /// Instead of the phases, where several groups' outputs fill a panel: the same convolution with fewer groups, whose weights are
  /// zeros between channels of different groups.
  std::optional<PackedConvolution> joined;
  /// The largest magnitude that a sum of products with unsigned activations can have, of all output channels.
  int64_t largest_sum = 0;
  int64_t largest_plane_sum = 0;  ///< that of the products of one tap along the depth
};

/// What is computed: the joined groups, if there are any. Weights between channels of different groups are their zero points.
PackedConvolution with_joined_groups(const PackedConvolution& weight, const WeightQParams& qparams);

}  // namespace octet::kernels
