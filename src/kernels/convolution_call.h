#pragma once

#include <octet/kernels/convolution.h>

#include <algorithm>

#include "kernels/convolution_layout.h"
#include "kernels/gemm_block.h"
#include "kernels/kernel_table.h"

namespace octet::kernels {

/// What one call of convolution() computes.
struct ConvolutionCall {
  const ConvolutionInput& input;
  const ConvolutionGeometry& geometry;
  Spatial out_size;
  const KernelTable& table;
  Columns columns;
  RequantizeArgs to;
};

/// A phase's output pixel.
struct Pixel {
  int64_t image;
  Spatial at;  ///< in the phase's own raster
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

  void advance(Pixel& pixel) const {
    for (size_t i = size_.size(); i-- > 0;) {
      if (++pixel.at[i] < size_[i]) return;
      pixel.at[i] = 0;
    }
    ++pixel.image;
  }

  /// How many of the next pixels, from this one on, are every `step`-th of the output.
  int64_t run(const Pixel& pixel, int64_t limit) const {
    const auto is_dense = [](const PhaseAxis& axis) { return axis.output_step == 1; };
    return std::ranges::all_of(phase_.axes, is_dense) ? limit : std::min(limit, size_[2] - pixel.at[2]);
  }
  int64_t step() const { return phase_.axes[2].output_step; }

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

/// Runs a phase of a depthwise convolution.
void run_depthwise_phase(const ConvolutionCall& call, const Phase& phase, ParallelFor parallel_for);

}  // namespace octet::kernels
