#include <octet/kernels/convolution.h>
#include <octet/kernels/convolution_algorithm.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/aligned_array.h"
#include "kernels/check.h"
#include "kernels/convolution_call.h"
#include "kernels/convolution_layout.h"
#include "kernels/convolution_winograd.h"
#include "kernels/gemm_block.h"
#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

/// memcpy for a few bytes, without the call.
void copy_bytes(uint8_t* to, const uint8_t* from, int64_t n) {
  if (n > 256) {
    std::memcpy(to, from, n);
  } else if (n >= 16) {
    for (int64_t i = 0; i < n - 16; i += 16) std::memcpy(to + i, from + i, 16);
    std::memcpy(to + n - 16, from + n - 16, 16);
  } else if (n >= 8) {
    std::memcpy(to, from, 8);
    std::memcpy(to + n - 8, from + n - 8, 8);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
  }
}

/// Writes a group's channels of the taps of output pixels side by side, a row for each pixel; zero points for padding.
class Gather {
 public:
  /// Up to so many bytes may be written beyond a row.
  static constexpr int64_t kSlack = 32;

  Gather(const ConvolutionCall& call, const Phase& phase)
      : call_(call), phase_(phase), width_(phase.axes[2]), width_size_(call.input.size[2]) {
    channels_ = call.geometry.in_channels;
    taken_ = channels_ / call.geometry.groups;
    inside_ = width_.inside(width_size_);
    const bool in_one_piece = taken_ == channels_ && width_.tap_spacing == 1;
    pieces_ = in_one_piece ? 1 : width_.taps;
    piece_ = width_.taps / std::max<int64_t>(pieces_, 1) * taken_;
    const Spatial& size = call.input.size;
    end_ = call.input.q + call.input.batch * size[0] * size[1] * size[2] * channels_;
  }

  /// Takes the next pixels of a row of outputs.
  void operator()(const Pixel& pixel, int64_t pixels, int64_t group, Matrix<uint8_t> rows) const {
    const int64_t first = pixel.at[2];
    if (pieces_ == 0) return;
    const int64_t begin = std::clamp<int64_t>(inside_.begin - first, 0, pixels);
    const int64_t end = std::clamp<int64_t>(inside_.end - first, begin, pixels);
    const bool is_short = piece_ <= kSlack / 2 ? gather_short<kSlack / 2>(pixel, begin, end, group, rows)
                          : piece_ <= kSlack   ? gather_short<kSlack>(pixel, begin, end, group, rows)
                                               : false;
    if (is_short) {
      gather(pixel, 0, begin, group, rows);
      gather(pixel, end, pixels, group, rows);
    } else {
      gather(pixel, 0, pixels, group, rows);
    }
  }

 private:
  /// The pixels [begin, end) after that one.
  void gather(const Pixel& pixel, int64_t begin, int64_t end, int64_t group, Matrix<uint8_t> rows) const {
    const int64_t bytes = width_.taps * taken_;
    int64_t column = 0;
    for (int64_t d = 0; d < phase_.axes[0].taps; ++d) {
      for (int64_t h = 0; h < phase_.axes[1].taps; ++h, column += bytes) {
        const uint8_t* from = call_.input_row(phase_, pixel, d, h);
        for (int64_t i = begin; i < end; ++i) {
          uint8_t* to = rows.row(i) + column;
          const int64_t j = pixel.at[2] + i;
          if (!from) {
            std::memset(to, call_.input.zero_point, bytes);
          } else if (inside_.begin <= j && j < inside_.end) {
            for (int64_t piece = 0; piece < pieces_; ++piece) {
              copy_bytes(to + piece * piece_, from + width_.input(j, piece) * channels_ + group * taken_, piece_);
            }
          } else {
            gather_taps(from + group * taken_, j, to);
          }
        }
      }
    }
  }

  /// The same for pixels inside and few bytes in a piece, as the first layers of networks and groups have: kCopied bytes are
  /// copied for each, and what is too much is overwritten by the next piece.
  /// @return whether no row of taps is in the padding, and so many bytes may be read of the input
  template <int64_t kCopied>
  bool gather_short(const Pixel& pixel, int64_t begin, int64_t end, int64_t group, Matrix<uint8_t> rows) const {
    if (begin == end) return false;
    const int64_t step = width_.input_step * channels_, spacing = width_.tap_spacing * channels_, pieces = pieces_;
    const int64_t first = width_.input(pixel.at[2] + begin, 0) * channels_ + group * taken_;
    const int64_t last = first + (end - 1 - begin) * step + (pieces - 1) * spacing;
    int64_t column = 0;
    for (int64_t d = 0; d < phase_.axes[0].taps; ++d) {
      for (int64_t h = 0; h < phase_.axes[1].taps; ++h) {
        const uint8_t* const row = call_.input_row(phase_, pixel, d, h);
        if (!row || end_ - row < last + kCopied) return false;
        for (int64_t piece = 0; piece < pieces; ++piece, column += piece_) {
          const uint8_t* from = row + first + piece * spacing;
          for (int64_t i = begin; i < end; ++i, from += step) std::memcpy(rows.row(i) + column, from, kCopied);
        }
      }
    }
    return true;
  }

  void gather_taps(const uint8_t* from, int64_t j, uint8_t* to) const {
    const Range hits = width_.hits(j, width_size_);
    for (int64_t tap = 0; tap < width_.taps; ++tap, to += taken_) {
      if (hits.begin <= tap && tap < hits.end) {
        copy_bytes(to, from + width_.input(j, tap) * channels_, taken_);
      } else {
        std::memset(to, call_.input.zero_point, taken_);
      }
    }
  }

  const ConvolutionCall& call_;
  const Phase& phase_;
  const PhaseAxis& width_;
  int64_t width_size_;
  int64_t channels_, taken_;
  int64_t pieces_, piece_;  ///< how many pieces a row of taps is in, and bytes of each
  Range inside_{0, 0};      ///< the outputs of a row none of whose taps is in the padding
  const uint8_t* end_;      ///< of the input
};

/// Rows of activations for some output pixels of a phase, and where their results go.
class PixelBlock {
 public:
  /// @param storage  of the thread, which its next call uses again
  PixelBlock(const ConvolutionCall& call, const Phase& phase, const Raster& raster, AlignedScratch<uint8_t>& storage)
      : call_(call),
        raster_(raster),
        gather_(call, phase),
        depth_(phase.groups[0].k()),
        stride_(phase.groups[0].row_stride() + Gather::kSlack) {
    const ConvolutionGeometry& g = call.geometry;
    in_place_ = g.taps() == 1 && g.stride == Spatial{1, 1, 1} && g.padding == Spatial{} && g.output_padding == Spatial{} &&
                depth_ == phase.groups[0].padded_k();
    if (!in_place_) gathered_ = storage.reserve(kRowBlock * stride_);
  }

  /// Takes the pixels [begin, end), at most kRowBlock.
  void take(int64_t begin, int64_t end, int64_t group) {
    block_ = {{gathered_, stride_}, end - begin, terms_};
    if (in_place_) block_.q = {call_.input.q + begin * call_.geometry.in_channels + group * depth_, call_.geometry.in_channels};
    runs_ = 0;
    Pixel pixel = raster_.pixel(begin);
    for (int64_t row = 0; row < block_.rows;) {
      const int64_t pixels = raster_.run(pixel, block_.rows - row), output = raster_.output(pixel);
      if (!in_place_) gather_(pixel, pixels, group, {gathered_ + row * stride_, stride_});
      if (runs_ > 0 && run_[runs_ - 1].output + run_[runs_ - 1].rows * raster_.step() == output) {
        run_[runs_ - 1].rows += pixels;
      } else {
        run_[runs_++] = {row, pixels, output};
      }
      raster_.advance(pixel, pixels);
      row += pixels;
    }
  }

  int64_t count() const { return block_.rows; }

  /// The rows with their terms.
  const RowBlock& rows() {
    for (int64_t row = 0; row < block_.rows; ++row) {
      terms_[row] = {call_.input.zero_point, 0, call_.input.scale};
      if (!call_.columns.affine) continue;
      const int32_t sum = std::accumulate(block_.q.row(row), block_.q.row(row) + depth_, int32_t{0});
      terms_[row].centered_sum = sum - call_.input.zero_point * static_cast<int32_t>(depth_);
    }
    return block_;
  }

  /// Makes them meet the weight's clipped form.
  void transpose(const PackedWeight& weight, AlignedScratch<uint8_t>& storage) {
    block_ = transposed(call_.table, block_, weight, storage);
  }

  /// Multiplies the rows with some panels into the output, where they start at that channel.
  void multiply_requantized(const PackedWeight& weight, int64_t first_panel, int64_t panels, const RequantizedTerms& terms,
                            int64_t channel) const {
    for (int64_t i = 0; i < runs_; ++i) {
      const auto [row, rows, output] = run_[i];
      const uint8_t* const transposed_rows = block_.transposed ? block_.transposed + row : nullptr;
      const RowBlock part{{block_.q.row(row), block_.q.stride}, rows, nullptr, nullptr, transposed_rows};
      kernels::multiply_requantized(call_.table, part, weight, first_panel, panels, terms,
                                    from(call_.to, output, channel, raster_.step()));
    }
  }

  /// Requantizes a panel's sums into the output, where it starts at that channel.
  void finish(const FinishArgs& args, int64_t channel) const {
    for (int64_t i = 0; i < runs_; ++i) {
      const auto [row, rows, output] = run_[i];
      FinishArgs part = args;
      part.sums += row * kColumns;
      part.rows = rows;
      part.row_terms += row;
      call_.table.finish_requantized(part, from(call_.to, output, channel, raster_.step()));
    }
  }

 private:
  /// Rows of the block whose results are evenly spaced.
  struct Run {
    int64_t row, rows;
    int64_t output;  ///< of the first
  };

  const ConvolutionCall& call_;
  const Raster& raster_;
  Gather gather_;
  int64_t depth_, stride_;
  bool in_place_;  ///< the input's pixels are the rows
  uint8_t* gathered_ = nullptr;
  RowTerms terms_[kRowBlock];
  Run run_[kRowBlock];
  int64_t runs_ = 0;
  RowBlock block_{};
};

/// Cuts a phase into blocks of pixels times groups of channels times groups of panels. A thread gathers a block's pixels once
/// for all the panels it is given.
void run_gemm_phase(const ConvolutionCall& call, const Phase& phase, ParallelFor parallel_for) {
  const Raster raster(phase, call.input.batch, call.out_size);
  const int64_t pixels = raster.pixels();
  const int64_t groups = call.geometry.groups;
  const PanelGroups panel_groups(phase.groups[0], std::min(pixels, kRowBlock));
  const int64_t group_channels = call.geometry.out_channels / groups;
  const int64_t block_work = std::min(pixels, kRowBlock) * panel_groups.size * kColumns * phase.groups[0].padded_k();
  const int64_t grain_size = items_per_task(kMacsPerTask, block_work);

  const bool clipped_weights = std::all_of(phase.groups.begin(), phase.groups.end(), [&](const PackedWeight& weight) {
    return takes_clipped_weight(call.table, weight, std::min(pixels, kRowBlock));
  });
  const RowBlocks row_blocks(pixels, clipped_weights);
  const bool at_once = can_requantize_at_once(call.table, phase.groups[0], call.columns.affine, clipped_weights);
  thread_local RequantizedColumns terms_of_thread;
  const RequantizedColumns& terms = at_once ? requantized_columns(call, phase, terms_of_thread) : terms_of_thread;

  parallel_for(0, row_blocks.count * groups * panel_groups.count, grain_size, [&](int64_t begin, int64_t end) {
    thread_local AlignedScratch<uint8_t> gathered, transposed_rows;
    PixelBlock block(call, phase, raster, gathered);
    thread_local ClippedRows clipped;
    clipped.begin();
    for (int64_t item = begin; item < end;) {
      // All items of the same rows.
      const int64_t panel_group = item % panel_groups.count, group = item / panel_groups.count % groups;
      const int64_t row_block = item / panel_groups.count / groups;
      const int64_t next = std::min(item - panel_group + panel_groups.count, end);
      block.take(row_blocks.begin(row_block), row_blocks.begin(row_block + 1), group);
      const PackedWeight& weight = phase.groups[group];
      const int64_t first_channel = group * group_channels;
      const int64_t first_panel = panel_group * panel_groups.size;
      const int64_t panels = std::min((next - item) * panel_groups.size, panel_groups.panels - first_panel);
      RowBlock rows{};
      if (clipped_weights) {
        block.transpose(weight, transposed_rows);
        if (!at_once) rows = block.rows();
      } else if (!at_once || ClippedRows::may_pay(call.table, block.count(), weight.k(), panels)) {
        rows = clipped.take(call.table, block.rows(), weight.k(), weight.padded_k(), panels);
      }
      if (at_once && !rows.clipped) {
        block.multiply_requantized(weight, first_panel, panels, terms.of(group, first_panel),
                                   first_channel + first_panel * kColumns);
        item = next;
        continue;
      }
      for (; item < next; ++item) {
        multiply_block(call.table, rows, weight, panel_groups, item % panel_groups.count, call.columns, first_channel,
                       [&](const FinishArgs& args, int64_t column) { block.finish(args, first_channel + column); });
      }
    }
  });
}

void check_input(const ConvolutionInput& input, const ConvolutionGeometry& geometry, const Spatial& out_size) {
  check(input.batch >= 0, "convolution: the batch must not be negative, got ", input.batch);
  check(0 <= input.zero_point && input.zero_point <= 255, "convolution: the input's zero point ", input.zero_point,
        " is not in 0 .. 255");
  for (size_t i = 0; i < out_size.size(); ++i) {
    const auto& [depth, height, width] = input.size;
    check(input.size[i] >= 1 && out_size[i] >= 1, "convolution: an input of ", depth, " x ", height, " x ", width,
          " is too small: dimension ", i, " of the output would be ", out_size[i], " (kernel ", geometry.kernel[i], ", padding ",
          geometry.padding[i], ", dilation ", geometry.dilation[i], ")");
  }
}

template <class Quantized>
void run(const ConvolutionInput& input, const PackedConvolution& weight, const WeightQParams& weight_qparams,
         const Epilogue& epilogue, const AffineQParams& out_qparams, Quantized* out, ParallelFor parallel_for) {
  const ConvolutionGeometry& geometry = weight.geometry();
  const Spatial out_size = geometry.output_size(input.size);
  check_input(input, geometry, out_size);
  check(weight_qparams.scale, "convolution: weights have no scale");
  check_weight_qparams(weight_qparams, geometry.out_channels, weight.depth(), "convolution");
  const Matrix<Quantized> rows{out, geometry.out_channels};
  const ConvolutionCall call{input,
                             geometry,
                             out_size,
                             kernels(),
                             Columns(weight_qparams, epilogue),
                             requantize_args(out_qparams, epilogue, rows, geometry.out_channels, "convolution")};
  const ConvolutionAlgorithm algorithm = choose_algorithm(call.table, input, weight, call.columns.affine);
  for (const Phase& phase : weight.layout().phases) {
    switch (algorithm) {
      case ConvolutionAlgorithm::gemm:
        run_gemm_phase(call, phase, parallel_for);
        break;
      case ConvolutionAlgorithm::depthwise:
        run_depthwise_phase(call, phase, parallel_for);
        break;
      case ConvolutionAlgorithm::winograd_2x2:
        run_winograd_phase(call, weight, 2, parallel_for);
        break;
      case ConvolutionAlgorithm::winograd_4x4:
        run_winograd_phase(call, weight, 4, parallel_for);
        break;
    }
  }
}

}  // namespace

void convolution(const ConvolutionInput& input, const PackedConvolution& weight, const WeightQParams& weight_qparams,
                 const Epilogue& epilogue, const AffineQParams& out_qparams, uint8_t* out, ParallelFor parallel_for) {
  run(input, with_joined_groups(weight, weight_qparams), weight_qparams, epilogue, out_qparams, out, parallel_for);
}

void convolution(const ConvolutionInput& input, const PackedConvolution& weight, const WeightQParams& weight_qparams,
                 const Epilogue& epilogue, const AffineQParams& out_qparams, int8_t* out, ParallelFor parallel_for) {
  run(input, with_joined_groups(weight, weight_qparams), weight_qparams, epilogue, out_qparams, out, parallel_for);
}

}  // namespace octet::kernels
