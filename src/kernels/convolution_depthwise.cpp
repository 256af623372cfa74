#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/aligned_array.h"
#include "kernels/convolution_call.h"
#include "kernels/convolution_layout.h"
#include "kernels/depthwise_rows.h"
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

/// What a thread keeps, so that nothing is allocated in the steady state.
struct Scratch {
  ColumnTerms columns(const ConvolutionCall& call, const DepthwiseWeight& weight) {
    const int64_t channels = call.geometry.out_channels;
    return {weight.sums.data(), nullptr, call.columns.scales.all(channels, scales), call.columns.biases.all(channels, biases)};
  }

  std::vector<float> scales, biases;
  std::vector<uint8_t> padding;
  std::vector<const uint8_t*> copied_rows;
  std::vector<const uint8_t*> pointers;  ///< to taps or rows
  AlignedScratch<uint8_t> copies, bytes;
};

/// Writes each of n bytes so many times.
template <int kTimes>
void repeat_bytes(const uint8_t* from, int64_t n, uint8_t* to) {
  for (int64_t i = 0; i < n; ++i) {
    for (int j = 0; j < kTimes; ++j) to[i * kTimes + j] = from[i];
  }
}

/// The same for any times, by words. Up to kRepeatSlack bytes are written beyond the last.
constexpr int64_t kWord = sizeof(uint64_t), kRepeatSlack = kWord - 1;
void repeat_bytes(const uint8_t* from, int64_t n, int64_t times, uint8_t* to) {
  if (times == 2) return repeat_bytes<2>(from, n, to);
  if (times == 4) return repeat_bytes<4>(from, n, to);
  for (int64_t offset = 0; offset < times; offset += kWord) {
    uint8_t* word = to + std::min(offset, std::max<int64_t>(times - kWord, 0));
#pragma GCC unroll 4
    for (int64_t i = 0; i < n; ++i, word += times) {
      const uint64_t bytes = from[i] * 0x0101010101010101u;
      std::memcpy(word, &bytes, kWord);
    }
  }
}

/// Rows of the input with a channel for each output channel. Where several of these read one channel, rows are copied, and
/// their channels repeated.
class InputRows {
 public:
  /// @param most  rows that can be asked for at once
  InputRows(const ConvolutionCall& call, int64_t most, Scratch& scratch)
      : in_channels_(call.geometry.in_channels),
        times_(call.geometry.out_channels / in_channels_),
        stride_(call.input.size[2] * call.geometry.out_channels + kRepeatSlack),
        most_(most),
        copied_(scratch.copied_rows),
        padding_(scratch.padding) {
    scratch.padding.assign(call.input.size[2] * call.geometry.out_channels, static_cast<uint8_t>(call.input.zero_point));
    copied_.clear();
    if (times_ > 1) copies_ = scratch.copies.reserve(most * stride_);
  }

  /// All zero points.
  const uint8_t* padding() const { return padding_.data(); }

  /// So many rows will be asked for, and these columns read of them: the last ones may be overwritten.
  void make_room(int64_t rows, Range columns) {
    const bool same = columns.begin == columns_.begin && columns.end == columns_.end;
    if (!same || static_cast<int64_t>(copied_.size()) + rows > most_) copied_.clear();
    columns_ = columns;
  }

  /// @param row  of the input, or null for one in the padding
  const uint8_t* of(const uint8_t* row) {
    if (!row) return padding();
    if (times_ == 1) return row;
    const auto found = std::find(copied_.begin(), copied_.end(), row);
    uint8_t* const copy = copies_ + (found - copied_.begin()) * stride_;
    if (found == copied_.end()) {
      copied_.push_back(row);
      const int64_t first = columns_.begin * in_channels_;
      repeat_bytes(row + first, columns_.end * in_channels_ - first, times_, copy + first * times_);
    }
    return copy;
  }

 private:
  int64_t in_channels_, times_, stride_, most_;
  Range columns_{0, 0};                  ///< that are copied
  std::vector<const uint8_t*>& copied_;  ///< the rows that the copies are of
  const std::vector<uint8_t>& padding_;
  uint8_t* copies_ = nullptr;
};

/// Where the taps of output pixels lie.
class TapPointers {
 public:
  TapPointers(const ConvolutionCall& call, const Phase& phase, Scratch& scratch)
      : call_(call), phase_(phase), rows_(call, kPixelsInPlace * phase.rows(), scratch), taps_(scratch.pointers) {
    taps_.resize(pairs() * 2);
  }

  int64_t pairs() const { return (phase_.taps() + 1) / 2; }

  const uint8_t* const* of(const Pixel& pixel) {
    const auto& [depth, height, width] = phase_.axes;
    rows_.make_room(phase_.rows(), {0, call_.input.size[2]});
    size_t tap = 0;
    for (int64_t d = 0; d < depth.taps; ++d) {
      for (int64_t h = 0; h < height.taps; ++h) {
        const uint8_t* const row = rows_.of(call_.input_row(phase_, pixel, d, h));
        for (int64_t w = 0; w < width.taps; ++w) {
          const int64_t column = width.input(pixel.at[2], w);
          const bool inside = 0 <= column && column < call_.input.size[2];
          taps_[tap++] = inside ? row + column * call_.geometry.out_channels : rows_.padding();
        }
      }
    }
    if (tap % 2) taps_[tap] = taps_[tap - 1];  // times zero
    return taps_.data();
  }

 private:
  static constexpr int64_t kPixelsInPlace = 4;  // so that most rows are copied once for all the rows of outputs that read them

  const ConvolutionCall& call_;
  const Phase& phase_;
  InputRows rows_;
  std::vector<const uint8_t*>& taps_;
};

/// What an item of work is: a part of a block of rows of outputs.
struct RowBlocks {
  /// @param rows    of outputs in a block; the last block of a plane may have fewer
  /// @param pixels  of a row in an item, at most
  RowBlocks(const Raster& raster, const Phase& phase, int64_t channels, int64_t rows, int64_t pixels)
      : rows(rows),
        height(raster.size()[1]),
        width(raster.size()[2]),
        blocks_of_plane(ceil_div(height, rows)),
        blocks(raster.pixels() / (height * width) * blocks_of_plane),
        parts(ceil_div(width, pixels)),
        grain_size(items_per_task(kDepthwiseMacsPerTask, rows * ceil_div(width, parts) * channels * phase.taps())) {}

  int64_t items() const { return parts * blocks; }
  int64_t begin(int64_t part) const { return part_begin(width, parts, part); }
  int64_t first_row(int64_t block) const { return block / blocks_of_plane * height + block % blocks_of_plane * rows; }
  int64_t row_count(int64_t block) const { return std::min(rows, height - block % blocks_of_plane * rows); }

  int64_t rows, height, width, blocks_of_plane, blocks, parts, grain_size;
};

/// Some pixels of a row at once, tap by tap.
void run_taps(const ConvolutionCall& call, const Phase& phase, const Raster& raster, const DepthwiseWeight& weight,
              ParallelFor parallel_for) {
  constexpr int64_t kPixelsPerItem = 64;
  const int64_t channels = call.geometry.out_channels;
  const PhaseAxis& width = phase.axes[2];
  const Range inside = width.inside(call.input.size[2]);
  const RowBlocks items(raster, phase, channels, /*rows=*/1, kPixelsPerItem);
  parallel_for(0, items.items(), items.grain_size, [&](int64_t begin, int64_t end) {
    thread_local Scratch scratch;
    const ColumnTerms columns = scratch.columns(call, weight);
    TapPointers taps(call, phase, scratch);
    for (int64_t item = begin; item < end; ++item) {
      Pixel pixel = raster.pixel(item / items.parts * items.width);
      int64_t& at = pixel.at[2];
      at = items.begin(item % items.parts);
      const int64_t part_end = items.begin(item % items.parts + 1);
      while (at < part_end) {
        const int64_t pixels = inside.begin <= at && at < inside.end ? std::min(inside.end, part_end) - at : 1;
        call.table.depthwise({taps.of(pixel), taps.pairs(), width.input_step * channels, pixels, channels, weight.values.data(),
                              columns, call.input.zero_point, call.input.scale,
                              from(call.to, raster.output(pixel), 0, raster.step())});
        at += pixels;
      }
    }
  });
}

/// Whether depthwise_rows may compute the convolution: its dot products take bytes, its epilogue has no residual, and it rounds
/// to 32 bits.
bool takes_rows(const ConvolutionCall& call, const Phase& phase) {
  const int64_t channels = call.geometry.out_channels;
  const DepthwiseRowsKernel* const kernel = call.table.depthwise_rows;
  if (!kernel || call.columns.affine || call.to.residual || phase.taps() == 0) return false;
  if (channels < (phase.axes[2].input_step == 1 ? kernel->fewest_channels : kernel->fewest_channels_of_other_steps)) return false;
  const float inverse_scale = call.to.quantize.inverse_scale;
  const float largest_sum = static_cast<float>(phase.taps() * 255 * 128);
  int64_t too_large = 0;
  for (int64_t first = 0; first < channels; first += kColumns) {
    const float *scale = call.columns.scales.from(first), *bias = call.columns.biases.from(first);
    for (int64_t i = 0; i < std::min(kColumns, channels - first); ++i) {
      const float largest = largest_sum * std::abs(call.input.scale * scale[i]) + std::abs(bias[i]);
      too_large += largest * inverse_scale < 0x1p30f ? 0 : 1;  // so is what is NaN
    }
  }
  return too_large == 0;
}

/// Rows at once, where two of them share most of what they read.
void run_rows(const ConvolutionCall& call, const Phase& phase, const Raster& raster, ParallelFor parallel_for) {
  constexpr int64_t kBlocksAtOnce = 8;  // so that the next channels find the rows in a cache
  constexpr int64_t kColumnsPerItem = 128;
  const auto& [depth, height, width] = phase.axes;
  const bool two_rows = depth.taps == 1 && height.tap_spacing == 1;
  const RowBlocks items(raster, phase, call.geometry.out_channels, two_rows ? 2 : 1,
                        std::max<int64_t>(kColumnsPerItem / width.input_step, 1));
  const int64_t row_step = two_rows ? height.input_step : 0;
  const int64_t rows_of_plane = height.taps + row_step, input_rows = depth.taps * rows_of_plane;
  const int64_t row_slots = depthwise_row_slots(phase.rows(), row_step);
  parallel_for(0, items.items(), items.grain_size, [&](int64_t begin, int64_t end) {
    thread_local Scratch scratch;
    const ColumnTerms columns = scratch.columns(call, phase.depthwise);
    InputRows in_rows(call, kBlocksAtOnce * input_rows, scratch);
    std::vector<const uint8_t*>& in = scratch.pointers;
    in.assign(kBlocksAtOnce * row_slots, in_rows.padding());
    uint8_t* out[kBlocksAtOnce][2];
    for (int64_t item = begin; item < end;) {
      const int64_t part = item / items.blocks, first_block = item % items.blocks, first = items.begin(part);
      const int64_t blocks = std::min({kBlocksAtOnce, end - item, items.blocks - first_block});
      const int64_t outputs = items.begin(part + 1) - first;
      const int64_t begin_column = width.input(first, 0), end_column = width.input(first + outputs - 1, width.taps - 1) + 1;
      in_rows.make_room(blocks * input_rows, {std::clamp<int64_t>(begin_column, 0, call.input.size[2]),
                                              std::clamp<int64_t>(end_column, 0, call.input.size[2])});
      for (int64_t block = 0; block < blocks; ++block) {
        const int64_t row = items.first_row(first_block + block);
        Pixel pixel = raster.pixel(row * items.width);
        for (int64_t i = 0; i < input_rows; ++i) {
          in[block * row_slots + i] = in_rows.of(call.input_row(phase, pixel, i / rows_of_plane, i % rows_of_plane));
        }
        pixel.at[2] = first;
        const int64_t rows = items.row_count(first_block + block);
        for (int64_t i = 0; i < 2; ++i, ++pixel.at[1]) {
          out[block][i] = i < rows ? call.to.out + raster.output(pixel) * call.to.out_stride : nullptr;
        }
      }
      DepthwiseRowsArgs args{.rows = in.data(),
                             .out = out[0],
                             .blocks = blocks,
                             .row_slots = row_slots,
                             .row_step = row_step,
                             .weight_rows = phase.rows(),
                             .columns = call.input.size[2],
                             .first_column = begin_column,
                             .column_step = width.input_step,
                             .taps = width.taps,
                             .tap_spacing = width.tap_spacing,
                             .outputs = outputs,
                             .out_stride = raster.step() * call.to.out_stride,
                             .channels = call.geometry.out_channels,
                             .weight = phase.depthwise.bytes.data(),
                             .column_terms = columns,
                             .zero_point = call.input.zero_point,
                             .scale = call.input.scale,
                             .quantize = call.to.quantize,
                             .scratch = nullptr};
      args.scratch = scratch.bytes.reserve(depthwise_rows_scratch(args));
      call.table.depthwise_rows->run(args);
      item += blocks;
    }
  });
}

}  // namespace

void run_depthwise_phase(const ConvolutionCall& call, const Phase& phase, ParallelFor parallel_for) {
  const Raster raster(phase, call.input.batch, call.out_size);
  if (raster.pixels() == 0) return;
  if (call.columns.affine) {
    run_taps(call, phase, raster, centered(phase.depthwise, phase.taps(), call.columns.zero_points), parallel_for);
  } else if (takes_rows(call, phase)) {
    run_rows(call, phase, raster, parallel_for);
  } else {
    run_taps(call, phase, raster, phase.depthwise, parallel_for);
  }
}

}  // namespace octet::kernels
