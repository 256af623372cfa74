#include <algorithm>
#include <vector>

#include "kernels/convolution_call.h"
#include "kernels/convolution_layout.h"
#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

/// The weight without its zero points: a pixel's products can't be corrected by one sum for all channels, as a GEMM's can.
DepthwiseWeight centered(DepthwiseWeight weight, int64_t taps, const PerColumn<int32_t>& zero_points) {
  const auto channels = static_cast<int64_t>(weight.sums.size());
  std::vector<int32_t> storage;
  const int32_t* zero_point = zero_points.all(channels, storage);
  for (int64_t channel = 0; channel < channels; ++channel) {
    for (int64_t tap = 0; tap < taps; ++tap) weight.values[weight.at(tap, channel)] -= static_cast<int16_t>(zero_point[channel]);
    weight.sums[channel] -= zero_point[channel] * static_cast<int32_t>(taps);
  }
  return weight;
}

/// Where the taps of output pixels lie.
class TapPointers {
 public:
  /// @param padding  zero points, as many as a row of the input has bytes
  TapPointers(const ConvolutionCall& call, const Phase& phase, const uint8_t* padding)
      : call_(call), phase_(phase), padding_(padding), taps_(pairs() * 2) {}

  int64_t pairs() const { return (phase_.taps() + 1) / 2; }

  const uint8_t* const* of(const Pixel& pixel) {
    const auto& [depth, height, width] = phase_.axes;
    size_t tap = 0;
    for (int64_t d = 0; d < depth.taps; ++d) {
      for (int64_t h = 0; h < height.taps; ++h) {
        const uint8_t* row = call_.input_row(phase_, pixel, d, h);
        for (int64_t w = 0; w < width.taps; ++w) {
          const int64_t column = width.input(pixel.at[2], w);
          const bool inside = row && 0 <= column && column < call_.input.size[2];
          taps_[tap++] = inside ? row + column * call_.geometry.in_channels : padding_;
        }
      }
    }
    if (tap % 2) taps_[tap] = taps_[tap - 1];  // times zero
    return taps_.data();
  }

 private:
  const ConvolutionCall& call_;
  const Phase& phase_;
  const uint8_t* padding_;
  std::vector<const uint8_t*> taps_;
};

constexpr int64_t kPixelsPerItem = 64;

}  // namespace

void run_depthwise_phase(const ConvolutionCall& call, const Phase& phase, ParallelFor parallel_for) {
  const ConvolutionInput& input = call.input;
  const int64_t channels = call.geometry.in_channels;
  const Raster raster(phase, input.batch, call.out_size);
  const PhaseAxis& width = phase.axes[2];
  const int64_t row_pixels = raster.size()[2];
  if (raster.pixels() == 0) return;

  const bool affine = call.columns.affine;
  const DepthwiseWeight without_zero_points =
      affine ? centered(phase.depthwise, phase.taps(), call.columns.zero_points) : DepthwiseWeight{};
  const DepthwiseWeight& weight = affine ? without_zero_points : phase.depthwise;
  std::vector<float> scales, biases;
  const ColumnTerms columns{weight.sums.data(), nullptr, call.columns.scales.all(channels, scales),
                            call.columns.biases.all(channels, biases)};
  const std::vector<uint8_t> padding(input.size[2] * channels, static_cast<uint8_t>(input.zero_point));
  const Range inside = width.inside(input.size[2]);

  const int64_t parts = ceil_div(row_pixels, kPixelsPerItem);
  const int64_t item_work = std::min(row_pixels, kPixelsPerItem) * channels * phase.taps();
  parallel_for(0, raster.pixels() / row_pixels * parts, items_per_task(kMacsPerTask, item_work), [&](int64_t begin, int64_t end) {
    TapPointers taps(call, phase, padding.data());
    for (int64_t item = begin; item < end; ++item) {
      Pixel pixel = raster.pixel(item / parts * row_pixels);
      int64_t& at = pixel.at[2];
      at = part_begin(row_pixels, parts, item % parts);
      const int64_t part_end = part_begin(row_pixels, parts, item % parts + 1);
      while (at < part_end) {
        const int64_t pixels = inside.begin <= at && at < inside.end ? std::min(inside.end, part_end) - at : 1;
        call.table.depthwise({taps.of(pixel), taps.pairs(), width.input_step * channels, pixels, channels, weight.values.data(),
                              columns, input.zero_point, input.scale, from(call.to, raster.output(pixel), 0, raster.step())});
        at += pixels;
      }
    }
  });
}

}  // namespace octet::kernels
