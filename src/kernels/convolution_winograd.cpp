#include "kernels/convolution_winograd.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "kernels/aligned_array.h"
#include "kernels/convolution_layout.h"
#include "kernels/winograd_kernels.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

constexpr int64_t kMostOutputs = 4, kMostPositions = 36;
/// So many outputs are requantized at once.
constexpr int64_t kMostTilesInARow = kRowBlock / kMostOutputs;
/// The transformed inputs of a block of tiles and the transformed weights of a panel should stay in the second cache together.
constexpr int64_t kInputBytes = 320 * 1024, kWeightQuads = 16;
constexpr int64_t kMostTiles = 48, kFewestTiles = 8;
/// Positions that lie a power of two apart would compete for the same lines of the first cache.
constexpr int64_t kPadding = 32;

/// How an image's outputs are cut into tiles.
struct Tiling {
  Tiling(const ConvolutionGeometry& geometry, const Spatial& out_size, int64_t batch, int64_t side)
      : outputs(side),
        rows(ceil_div(out_size[1], side)),
        columns(ceil_div(out_size[2], side)),
        tiles(batch * out_size[0] * rows * columns),
        blocks(ceil_div(tiles, most_in_a_block(geometry, side))) {}

  static int64_t most_in_a_block(const ConvolutionGeometry& geometry, int64_t side) {
    const int64_t bytes = (side + 2) * (side + 2) * geometry.in_channels / geometry.groups * 2;
    return std::clamp(kInputBytes / bytes, kFewestTiles, kMostTiles);
  }
  int64_t begin(int64_t block) const { return part_begin(tiles, blocks, block); }

  int64_t outputs, rows, columns, tiles, blocks;
};

/// Storage of a thread, which its next call uses again.
struct Scratch {
  AlignedScratch<int16_t> input, weight;
  AlignedScratch<int32_t> sums, outputs;
};

class TileBlock {
 public:
  TileBlock(const ConvolutionCall& call, const Phase& phase, const Tiling& tiling, const uint8_t* padding,
            const RequantizedColumns& terms, Scratch& scratch)
      : call_(call),
        phase_(phase),
        tiling_(tiling),
        padding_(padding),
        terms_(terms),
        scratch_(scratch),
        side_(tiling.outputs + 2),
        channels_(call.geometry.in_channels / call.geometry.groups),
        transforms_(tiling.outputs == 2 ? call.table.winograd->of_2x2 : call.table.winograd->of_4x4) {
  }

  /// Transforms the inputs of the tiles [begin, end), for a group of channels.
  void take(int64_t begin, int64_t end, int64_t group) {
    first_ = begin;
    tiles_ = end - begin;
    tile_stride_ = channels_ + kPadding;
    position_stride_ = tiles_ * tile_stride_ + kPadding;
    int16_t* const input = scratch_.input.reserve(positions() * position_stride_);
    const uint8_t* pixels[kMostPositions];
    for (int64_t tile = 0; tile < tiles_; ++tile) {
      find_pixels(first_ + tile, group * channels_, pixels);
      transforms_.input({pixels, channels_, input + tile * tile_stride_, position_stride_});
    }
  }

  /// Multiplies them with a panel, and writes its columns of the outputs.
  void multiply(int64_t group, int64_t panel) {
    const PackedWeight& weight = phase_.groups[group];
    const int64_t first_channel = group * call_.geometry.out_channels / call_.geometry.groups;
    multiply(weight.panel(panel));
    RequantizeSumsArgs args{.sums = nullptr,
                            .rows = 0,
                            .columns = std::min(kColumns, weight.n() - panel * kColumns),
                            .terms = terms_.of(group, panel),
                            .to = call_.to};
    for (int64_t tile = 0; tile < tiles_;) {
      const int64_t column_of_tile = (first_ + tile) % tiling_.columns;
      const int64_t tiles = std::min({tiles_ - tile, tiling_.columns - column_of_tile, kMostTilesInARow});
      finish(tile, tiles, args, first_channel + panel * kColumns);
      tile += tiles;
    }
  }

 private:
  int64_t positions() const { return side_ * side_; }

  /// Where the inputs of a tile lie.
  void find_pixels(int64_t tile, int64_t channel, const uint8_t** pixels) const {
    const Spatial& size = call_.input.size;
    const int64_t row = tile / tiling_.columns;
    const int64_t y = phase_.axes[1].input(row % tiling_.rows * tiling_.outputs, 0);
    const int64_t x = phase_.axes[2].input(tile % tiling_.columns * tiling_.outputs, 0);
    const uint8_t* const plane = call_.input.q + row / tiling_.rows * size[1] * size[2] * call_.geometry.in_channels + channel;
    for (int64_t i = 0; i < side_; ++i) {
      const bool row_inside = 0 <= y + i && y + i < size[1];
      for (int64_t j = 0; j < side_; ++j) {
        const bool inside = row_inside && 0 <= x + j && x + j < size[2];
        *pixels++ = inside ? plane + ((y + i) * size[2] + x + j) * call_.geometry.in_channels : padding_;
      }
    }
  }

  void multiply(const int8_t* panel) {
    sums_stride_ = tiles_ * kColumns;
    int32_t* const sums = scratch_.sums.reserve(positions() * sums_stride_);
    const int64_t all_quads = channels_ / 4;
    for (int64_t first = 0; first < all_quads; first += kWeightQuads) {
      const int64_t quads = std::min(kWeightQuads, all_quads - first), stride = quads * 4 * kColumns + kPadding;
      int16_t* const weight = scratch_.weight.reserve(2 * side_ * stride);
      for (int part = 0; part < side_ / 2; ++part) {
        transforms_.weight({panel + first * 4 * kColumns, all_quads * 4 * kColumns, quads, part, weight, stride});
        for (const int which : {0, 1}) {
          const int64_t position = winograd_row(static_cast<int>(side_), part, which) * side_;
          call_.table.winograd->multiply({.positions = side_,
                                          .rows_of_words = scratch_.input.data() + position * position_stride_ + first * 2,
                                          .position_stride = position_stride_,
                                          .row_stride = tile_stride_,
                                          .odd = channels_ / 2,
                                          .rows = tiles_,
                                          .weight = weight + which * side_ * stride,
                                          .weight_position_stride = stride,
                                          .quads = quads,
                                          .add = first > 0,
                                          .sums = sums + position * sums_stride_});
        }
      }
    }
  }

  /// Some tiles in a row.
  void finish(int64_t tile, int64_t tiles, RequantizeSumsArgs args, int64_t channel) {
    const int64_t outputs = tiling_.outputs, row_stride = tiles * outputs * kColumns;
    int32_t* const out = scratch_.outputs.reserve(outputs * row_stride);
    for (int64_t i = 0; i < tiles; ++i) {
      transforms_.output({scratch_.sums.data() + (tile + i) * kColumns, sums_stride_, out + i * outputs * kColumns, row_stride});
    }
    const int64_t height = call_.out_size[1], width = call_.out_size[2];
    const int64_t row_of_tiles = (first_ + tile) / tiling_.columns, plane = row_of_tiles / tiling_.rows;
    const int64_t y = row_of_tiles % tiling_.rows * outputs, x = (first_ + tile) % tiling_.columns * outputs;
    args.rows = std::min(tiles * outputs, width - x);
    for (int64_t i = 0; i < std::min(outputs, height - y); ++i) {
      args.sums = out + i * row_stride;
      args.to = from(call_.to, (plane * height + y + i) * width + x, channel);
      call_.table.winograd->requantize(args);
    }
  }

  const ConvolutionCall& call_;
  const Phase& phase_;
  const Tiling& tiling_;
  const uint8_t* padding_;
  const RequantizedColumns& terms_;
  Scratch& scratch_;
  int64_t side_, channels_;
  const WinogradTransforms& transforms_;
  int64_t first_ = 0, tiles_ = 0, tile_stride_ = 0, position_stride_ = 0, sums_stride_ = 0;
};

}  // namespace

bool has_winograd(const KernelTable& table, const PackedConvolution& weight, bool affine, int64_t outputs) {
  const ConvolutionGeometry& g = weight.geometry();
  const int64_t channels = g.in_channels / g.groups;
  return table.winograd && !affine && !g.transposed && g.kernel == Spatial{1, 3, 3} && g.stride == Spatial{1, 1, 1} &&
         g.dilation == Spatial{1, 1, 1} && g.padding[0] == 0 && channels % 4 == 0 && channels >= kWinogradChannels &&
         weight.layout().largest_sum << (outputs == 2 ? 2 : 6) <= std::numeric_limits<int32_t>::max();
}

double winograd_cost(const KernelTable& table, const ConvolutionGeometry& geometry, const Spatial& out_size, int64_t batch,
                     int64_t outputs) {
  const Tiling tiling(geometry, out_size, batch, outputs);
  const auto [product, weight, input, output] = table.winograd->costs;
  const double in = static_cast<double>(geometry.in_channels / geometry.groups);
  const double out = static_cast<double>(ceil_div(geometry.out_channels / geometry.groups, kColumns) * kColumns);
  const double tiles = static_cast<double>(tiling.tiles), blocks = static_cast<double>(tiling.blocks);
  return static_cast<double>(geometry.groups * (outputs + 2) * (outputs + 2)) *
         (tiles * (in * out * product + in * input + out * output) + blocks * in * out * weight);
}

void run_winograd_phase(const ConvolutionCall& call, const Phase& phase, int64_t outputs, ParallelFor parallel_for) {
  const ConvolutionGeometry& g = call.geometry;
  const Tiling tiling(g, call.out_size, call.input.batch, outputs);
  const int64_t panels = phase.groups[0].panels();
  thread_local std::vector<uint8_t> padding_of_thread;
  padding_of_thread.assign(g.in_channels, static_cast<uint8_t>(call.input.zero_point));
  const uint8_t* const padding = padding_of_thread.data();
  thread_local RequantizedColumns terms_of_thread;
  const RequantizedColumns& terms = requantized_columns(call, phase, terms_of_thread);
  const int64_t item_work =
      tiling.tiles / std::max<int64_t>(tiling.blocks, 1) * (outputs + 2) * (outputs + 2) * kColumns * (g.in_channels / g.groups);

  parallel_for(0, tiling.blocks * g.groups * panels, items_per_task(kMacsPerTask, item_work), [&](int64_t begin, int64_t end) {
    thread_local Scratch scratch;
    TileBlock block(call, phase, tiling, padding, terms, scratch);
    for (int64_t item = begin; item < end; ++item) {
      const int64_t panel = item % panels, group = item / panels % g.groups;
      if (item == begin || panel == 0) {
        const int64_t index = item / panels / g.groups;
        block.take(tiling.begin(index), tiling.begin(index + 1), group);
      }
      block.multiply(group, panel);
    }
  });
}

}  // namespace octet::kernels
