#include <algorithm>
#include <vector>

#include "kernels/aligned_array.h"
#include "kernels/convolution_call.h"
#include "kernels/convolution_layout.h"
#include "kernels/depthwise_quads.h"
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

/// What an item of work is: a part of a row of outputs.
struct RowParts {
  RowParts(const Raster& raster, int64_t channels, int64_t taps)
      : width(raster.size()[2]),
        rows(width > 0 ? raster.pixels() / width : 0),
        parts(ceil_div(width, kPixelsPerItem)),
        grain_size(items_per_task(kMacsPerTask, std::min(width, kPixelsPerItem) * channels * taps)) {}

  int64_t begin(int64_t part) const { return part_begin(width, parts, part); }

  int64_t width, rows, parts, grain_size;
};

/// Whether four bytes at a time are faster: a column is laid out for one output at a step of 1, but for two at a step of 2, and
/// channels that do not fill a vector are computed all the same.
bool takes_quads(const ConvolutionCall& call, const Phase& phase) {
  if (!call.table.depthwise_quads || call.columns.affine || call.to.residual || phase.taps() == 0) return false;
  const int64_t channels = call.geometry.in_channels, computed = ceil_div(channels, kQuadsVectorBytes) * kQuadsVectorBytes;
  return phase.axes[2].input_step == 1 ? computed * 4 <= channels * 5 : computed == channels;
}

/// Four rows of taps at a time.
void run_quads(const ConvolutionCall& call, const Phase& phase, const Raster& raster, const ColumnTerms& columns,
               const std::vector<uint8_t>& padding, ParallelFor parallel_for) {
  constexpr int64_t kRowsAtOnce = 8;  // so that the next channels find the rows in a cache
  const PhaseAxis& width = phase.axes[2];
  const RowParts items(raster, call.geometry.in_channels, phase.taps());
  const int64_t row_quads = ceil_div(phase.rows(), 4);
  parallel_for(0, items.parts * items.rows, items.grain_size, [&](int64_t begin, int64_t end) {
    thread_local AlignedScratch<uint8_t> scratch;
    std::vector<const uint8_t*> in(kRowsAtOnce * row_quads * 4, padding.data());
    uint8_t* out[kRowsAtOnce];
    for (int64_t item = begin; item < end;) {
      const int64_t part = item / items.rows, first_row = item % items.rows, first = items.begin(part);
      const int64_t rows = std::min({kRowsAtOnce, end - item, items.rows - first_row});
      for (int64_t row = 0; row < rows; ++row) {
        Pixel pixel = raster.pixel((first_row + row) * items.width);
        for (int64_t tap = 0; tap < phase.rows(); ++tap) {
          const uint8_t* const from = call.input_row(phase, pixel, tap / phase.axes[1].taps, tap % phase.axes[1].taps);
          in[row * row_quads * 4 + tap] = from ? from : padding.data();
        }
        pixel.at[2] = first;
        out[row] = call.to.out + raster.output(pixel) * call.to.out_stride;
      }
      DepthwiseQuadsArgs args{.rows = in.data(),
                              .out = out,
                              .output_rows = rows,
                              .row_quads = row_quads,
                              .columns = call.input.size[2],
                              .first_column = width.input(first, 0),
                              .column_step = width.input_step,
                              .taps = width.taps,
                              .tap_spacing = width.tap_spacing,
                              .outputs = items.begin(part + 1) - first,
                              .out_stride = raster.step() * call.to.out_stride,
                              .channels = call.geometry.in_channels,
                              .weight = phase.depthwise.quads.data(),
                              .column_terms = columns,
                              .zero_point = call.input.zero_point,
                              .scale = call.input.scale,
                              .quantize = call.to.quantize,
                              .scratch = nullptr};
      args.scratch = scratch.reserve(depthwise_quads_scratch(args));
      call.table.depthwise_quads(args);
      item += rows;
    }
  });
}

}  // namespace

void run_depthwise_phase(const ConvolutionCall& call, const Phase& phase, ParallelFor parallel_for) {
  const ConvolutionInput& input = call.input;
  const int64_t channels = call.geometry.in_channels;
  const Raster raster(phase, input.batch, call.out_size);
  if (raster.pixels() == 0) return;

  const bool affine = call.columns.affine;
  const DepthwiseWeight without_zero_points =
      affine ? centered(phase.depthwise, phase.taps(), call.columns.zero_points) : DepthwiseWeight{};
  const DepthwiseWeight& weight = affine ? without_zero_points : phase.depthwise;
  std::vector<float> scales, biases;
  const ColumnTerms columns{weight.sums.data(), nullptr, call.columns.scales.all(channels, scales),
                            call.columns.biases.all(channels, biases)};
  const std::vector<uint8_t> padding(input.size[2] * channels, static_cast<uint8_t>(input.zero_point));
  if (takes_quads(call, phase)) {
    return run_quads(call, phase, raster, columns, padding, parallel_for);
  }

  const PhaseAxis& width = phase.axes[2];
  const Range inside = width.inside(input.size[2]);
  const RowParts items(raster, channels, phase.taps());
  parallel_for(0, items.rows * items.parts, items.grain_size, [&](int64_t begin, int64_t end) {
    TapPointers taps(call, phase, padding.data());
    for (int64_t item = begin; item < end; ++item) {
      Pixel pixel = raster.pixel(item / items.parts * items.width);
      int64_t& at = pixel.at[2];
      at = items.begin(item % items.parts);
      const int64_t part_end = items.begin(item % items.parts + 1);
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
