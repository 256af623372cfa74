#pragma once

#include <octet/kernels/convolution.h>

#include <algorithm>

#include "kernels/convolution_layout.h"
#include "kernels/gemm_block.h"
#include "kernels/kernel_table.h"

namespace octet::kernels {

/// A phase's output pixel.
struct Pixel {
  int64_t image;
  Spatial at;  ///< in the phase's own raster
};

/// What one call of convolution() computes.
struct ConvolutionCall {
  const ConvolutionInput& input;
  const ConvolutionGeometry& geometry;
  Spatial out_size;
  const KernelTable& table;
  Columns columns;
  RequantizeArgs to;

  /// The row of the input that the taps (d, h, ...) of a pixel read, or null if they are all in the padding.
  const uint8_t* input_row(const Phase& phase, const Pixel& pixel, int64_t d, int64_t h) const {
    const int64_t plane = phase.axes[0].input(pixel.at[0], d), row = phase.axes[1].input(pixel.at[1], h);
    if (plane < 0 || plane >= input.size[0] || row < 0 || row >= input.size[1]) return nullptr;
    return input.q + ((pixel.image * input.size[0] + plane) * input.size[1] + row) * input.size[2] * geometry.in_channels;
  }
};

/// The output pixels of a phase, image by image and row by row.
class Raster {
 public:
  Raster(const Phase& phase, int64_t images, const Spatial& out_size) : phase_(phase), images_(images), out_size_(out_size) {
    for (size_t i = 0; i < size_.size(); ++i) size_[i] = phase.axes[i].outputs(out_size[i]);
  }

  const Spatial& size() const { return size_; }
  int64_t pixels() const { return images_ * size_[0] * size_[1] * size_[2]; }

  Pixel pixel(int64_t index) const {
    const int64_t row = index / size_[2], plane = row / size_[1];
    return {plane / size_[0], {plane % size_[0], row % size_[1], index % size_[2]}};
  }

  /// How many of the next pixels are in this one's row, which are every `step()`-th of the output.
  int64_t run(const Pixel& pixel, int64_t limit) const { return std::min(limit, size_[2] - pixel.at[2]); }
  int64_t step() const { return phase_.axes[2].output_step; }

  /// Goes on by a run.
  void advance(Pixel& pixel, int64_t pixels) const {
    pixel.at[2] += pixels;
    for (size_t i = size_.size() - 1; i > 0 && pixel.at[i] == size_[i]; --i) {
      pixel.at[i] = 0;
      ++pixel.at[i - 1];
    }
    if (pixel.at[0] == size_[0]) {
      pixel.at[0] = 0;
      ++pixel.image;
    }
  }

  /// The pixel's index in the convolution's output.
  int64_t output(const Pixel& pixel) const {
    int64_t index = pixel.image;
    for (size_t i = 0; i < size_.size(); ++i) index = index * out_size_[i] + phase_.axes[i].output(pixel.at[i]);
    return index;
  }

 private:
  const Phase& phase_;
  int64_t images_;
  Spatial out_size_, size_;
};

/// The terms of requantization of all groups of a phase, whose weights have no zero points, in the storage.
inline const RequantizedColumns& requantized_columns(const ConvolutionCall& call, const Phase& phase, RequantizedColumns& storage) {
  const auto groups = static_cast<int64_t>(phase.groups.size());
  storage.reserve(groups, phase.groups[0].panels());
  for (int64_t group = 0; group < groups; ++group) {
    storage.set(group, phase.groups[group], call.columns, group * call.geometry.out_channels / groups,
                {call.input.zero_point, 0, call.input.scale}, call.to.quantize.inverse_scale);
  }
  return storage;
}

/// Runs a phase of a depthwise convolution.
void run_depthwise_phase(const ConvolutionCall& call, const Phase& phase, ParallelFor parallel_for);

}  // namespace octet::kernels
