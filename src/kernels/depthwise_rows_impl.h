#pragma once

#include "kernels/depthwise_stream_impl.h"

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
  DepthwiseRows(const DepthwiseRowsArgs& args, const Channels& channels, const uint8_t* const* rows, uint8_t* inputs)
      : args_(args), channels_(channels), columns_(depthwise_rows_columns(args)), inputs_(inputs) {
    for (int64_t group = 0; group < channels_.groups(); ++group) {
      lay_out(rows + group * kGroup, inputs_ + group * columns_ * kGroupBytes);
    }
  }

  template <int kRows>
  void run(uint8_t* const* out) const {
    constexpr int kPixels = Vector::kSums / kRows;
    uint8_t* to[kRows];
    for (int r = 0; r < kRows; ++r) to[r] = out[r];
    int64_t i = 0;
    for (; i + kPixels <= args_.outputs; i += kPixels) outputs<kRows, kPixels>(i, to);
    for (; i < args_.outputs; ++i) outputs<kRows, 1>(i, to);
  }

 private:
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
    const int64_t column_step = args_.column_step * kGroupBytes, tap_spacing = args_.tap_spacing * kGroupBytes;
    for (int64_t group = 0; group < channels_.groups(); ++group) {
      const uint8_t* column = inputs_ + group * columns_ * kGroupBytes + first * column_step;
      for (int64_t tap = 0; tap < args_.taps; ++tap, weight += Vector::kRows * kGroupBytes, column += tap_spacing) {
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
  const Channels& channels_;
  int64_t columns_;
  uint8_t* inputs_;
};

/// Runs a block by the kernel for its taps.
template <class Vector, int kRows>
void depthwise_block(const DepthwiseRowsArgs& args, const DepthwiseChannels<Vector>& channels, const uint8_t* const* rows,
                     uint8_t* const* out, uint8_t* inputs) {
  const auto is = [&](int64_t taps, int64_t step) {
    return args.taps == taps && args.column_step == step && args.tap_spacing == 1;
  };
  if constexpr (Vector::kStreams) {
    if (is(3, 1)) return DepthwiseStream<Vector, 3, 1, kRows>(args, channels, rows).run(out);
  }
  if constexpr (Vector::kStreams && kRows == 1) {
    if (is(3, 2)) return DepthwiseStream<Vector, 3, 2, 1>(args, channels, rows).run(out);
    if (is(5, 2)) return DepthwiseStream<Vector, 5, 2, 1>(args, channels, rows).run(out);
  }
  DepthwiseRows<Vector>(args, channels, rows, inputs).template run<kRows>(out);
}

/// The channels of a vector.
template <class Vector>
void depthwise_channels(const DepthwiseRowsArgs& args, int64_t channel) {
  const DepthwiseChannels<Vector> channels(args, channel, args.scratch);
  uint8_t* const inputs = args.scratch + depthwise_weight_bytes<Vector>(args);
  for (int64_t block = 0; block < args.blocks; ++block) {
    const uint8_t* const* const rows = args.rows + block * depthwise_row_slots(args.input_rows);
    uint8_t* const* const out = args.out + block * 2;
    if constexpr (Vector::kRows == 2) {
      if (out[1]) {
        depthwise_block<Vector, 2>(args, channels, rows, out, inputs);
        continue;
      }
    }
    depthwise_block<Vector, 1>(args, channels, rows, out, inputs);
  }
}

/// The channels from one to another. The last vector is moved back to be a whole one, and computes some channels again.
template <class Vector>
void depthwise_rows(const DepthwiseRowsArgs& args, int64_t channel, int64_t end) {
  for (; channel < end; channel += Vector::kLanes) {
    depthwise_channels<Vector>(args, channel + Vector::kLanes <= end ? channel : end - Vector::kLanes);
  }
}

}  // namespace octet::kernels
