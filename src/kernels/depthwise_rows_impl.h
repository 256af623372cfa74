#pragma once

#include "kernels/depthwise_stream_impl.h"
#include "kernels/depthwise_winograd_impl.h"

namespace octet::kernels {

/// Blocks of rows for kernels of any size and step: the columns of the input are laid out in memory first.
template <class Vector>
class DepthwiseRows {
  using Channels = DepthwiseChannels<Vector>;
  using Bytes = typename Vector::Bytes;
  using Int = typename Vector::Int;
  static constexpr int kGroup = Vector::kGroup, kParts = Vector::kParts;
  static constexpr int64_t kGroupBytes = Channels::kGroupBytes;

 public:
  DepthwiseRows(const DepthwiseRowsArgs& args, int64_t channel)
      : args_(args),
        two_rows_(args.weight_rows + args.row_step <= (args.weight_rows + kGroup - 1) / kGroup * kGroup),
        channels_(args, channel, two_rows_ ? 2 : 1),
        columns_(depthwise_rows_columns(args)) {}

  static constexpr int kRows = 2;
  /// Whether rows of outputs can be computed by two: they meet the same groups of rows of the input.
  bool two_rows() const { return two_rows_; }

  /// Some rows of outputs from that one on.
  template <int kRows>
  void run(const uint8_t* const* rows, uint8_t* const* out) {
    lay_out_groups(rows);
    constexpr int kPixels = Vector::kSums / kRows;
    uint8_t* to[kRows];
    for (int r = 0; r < kRows; ++r) to[r] = out[r];
    int64_t i = 0;
    for (; i + kPixels <= args_.outputs; i += kPixels) outputs<kRows, kPixels>(i, to);
    for (; i + 2 <= args_.outputs; i += 2) outputs<kRows, 2>(i, to);
    for (; i < args_.outputs; ++i) outputs<kRows, 1>(i, to);
  }

 private:
  /// Those that the last rows of outputs have met stay, if they are all but the first of their groups.
  void lay_out_groups(const uint8_t* const* rows) {
    const int64_t groups = channels_.groups(), common = (groups - 1) * kGroup;
    bool stay = last_rows_ != nullptr;
    for (int64_t i = 0; stay && i < common; ++i) stay = rows[i] == last_rows_[kGroup + i];
    if (stay) first_group_ = first_group_ + 1 < groups ? first_group_ + 1 : 0;
    for (int64_t group = stay ? groups - 1 : 0; group < groups; ++group) lay_out(rows + group * kGroup, inputs(group));
    last_rows_ = rows;
  }

  /// [columns_][kGroupBytes]
  uint8_t* inputs(int64_t group) const {
    const int64_t at = first_group_ + group, groups = channels_.groups();
    return channels_.scratch() + (at < groups ? at : at - groups) * columns_ * kGroupBytes;
  }

  void lay_out(const uint8_t* const* rows, uint8_t* to) const {
    // The columns [begin, end) are those of the input.
    const int64_t begin = clamp(-args_.first_column, 0, columns_);
    const int64_t end = clamp(args_.columns - args_.first_column, begin, columns_);
    const uint8_t* from[kGroup];
    Bytes bytes[kGroup], padding[kGroup];
    for (int j = 0; j < kGroup; ++j) {
      from[j] = rows[j] + (args_.first_column + begin) * args_.channels;
      padding[j] = channels_.padding();
    }
    for (int64_t i = 0; i < begin; ++i, to += kGroupBytes) Channels::template store_interleaved<uint8_t>(padding, to);
    for (int64_t i = begin; i < end; ++i, to += kGroupBytes) {
#pragma GCC unroll 8
      for (int j = 0; j < kGroup; ++j) {
        bytes[j] = channels_.load(from[j]);
        from[j] += args_.channels;
      }
      Channels::template store_interleaved<uint8_t>(bytes, to);
    }
    for (int64_t i = end; i < columns_; ++i, to += kGroupBytes) Channels::template store_interleaved<uint8_t>(padding, to);
  }

  static int64_t clamp(int64_t i, int64_t low, int64_t high) { return i < low ? low : i < high ? i : high; }

  template <int kRows, int kPixels>
  void outputs(int64_t first, uint8_t* (&out)[kRows]) const {
    typename Channels::Sums sums[kPixels][kRows];
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
      for (int r = 0; r < kRows; ++r) channels_.start(sums[p][r]);
    }
    const uint8_t* weight = channels_.weight();
    const int64_t weight_step = (two_rows_ ? 2 : 1) * kGroupBytes;
    const int64_t column_step = args_.column_step * kGroupBytes, tap_spacing = args_.tap_spacing * kGroupBytes;
    for (int64_t group = 0; group < channels_.groups(); ++group) {
      const uint8_t* column = inputs(group) + first * column_step;
      for (int64_t tap = 0; tap < args_.taps; ++tap, weight += weight_step, column += tap_spacing) {
#pragma GCC unroll 8
        for (int part = 0; part < kParts; ++part) {
          Int weights[kRows];
#pragma GCC unroll 2
          for (int r = 0; r < kRows; ++r) {
            weights[r] = Vector::load(weight + r * kGroupBytes + part * sizeof(Int));
            asm("" : "+v"(weights[r]));  // else the compiler would load them anew for each output
          }
#pragma GCC unroll 8
          for (int p = 0; p < kPixels; ++p) {
            const Int inputs = Vector::load(column + p * column_step + part * sizeof(Int));
#pragma GCC unroll 2
            for (int r = 0; r < kRows; ++r) Vector::dot(sums[p][r][part], inputs, weights[r]);
          }
        }
      }
    }
    channels_.finish(sums, out, args_.out_stride);
  }

  const DepthwiseRowsArgs& args_;
  bool two_rows_;
  Channels channels_;
  int64_t columns_;
  const uint8_t* const* last_rows_ = nullptr;
  int64_t first_group_ = 0;  ///< where it lies
};

template <class Kernel>
void depthwise_blocks(const DepthwiseRowsArgs& args, int64_t channel) {
  Kernel kernel(args, channel);
  for (int64_t block = 0; block < args.blocks; ++block) {
    const uint8_t* const* const rows = args.rows + block * args.row_slots;
    uint8_t* const* const out = args.out + block * 2;
    if constexpr (Kernel::kRows == 2) {
      if (out[1] && kernel.two_rows()) {
        kernel.template run<2>(rows, out);
        continue;
      }
    }
    kernel.template run<1>(rows, out);
    if (out[1]) kernel.template run<1>(rows + args.row_step, out + 1);
  }
}

/// Square kernels have loops of their own.
template <class Vector, int kTaps, int kStep>
void depthwise_stream(const DepthwiseRowsArgs& args, int64_t channel) {
  if (args.weight_rows == kTaps) return depthwise_blocks<DepthwiseStream<Vector, kTaps, kStep, kTaps>>(args, channel);
  depthwise_blocks<DepthwiseStream<Vector, kTaps, kStep, 0>>(args, channel);
}

/// Runs the kernel for the taps.
template <class Vector>
void depthwise_channels(const DepthwiseRowsArgs& args, int64_t channel) {
  if constexpr (Vector::kGroup == 2) {
    if (DepthwiseWinograd<Vector>::takes(args)) return DepthwiseWinograd<Vector>::run(args, channel);
  }
  if constexpr (Vector::kStreamRows > 0) {
    const auto is = [&](int64_t taps, int64_t step) {
      return args.taps == taps && args.column_step == step && args.tap_spacing == 1;
    };
    if (is(3, 1)) return depthwise_stream<Vector, 3, 1>(args, channel);
    if (is(3, 2)) return depthwise_stream<Vector, 3, 2>(args, channel);
    if (is(5, 2)) return depthwise_stream<Vector, 5, 2>(args, channel);
  }
  depthwise_blocks<DepthwiseRows<Vector>>(args, channel);
}

/// The channels from one to another. The last vector is moved back to be a whole one, and computes some channels again.
template <class Vector>
void depthwise_rows(const DepthwiseRowsArgs& args, int64_t channel, int64_t end) {
  for (; channel < end; channel += Vector::kLanes) {
    depthwise_channels<Vector>(args, channel + Vector::kLanes <= end ? channel : end - Vector::kLanes);
  }
}

}  // namespace octet::kernels
