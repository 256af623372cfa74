#include "kernels/convolution_winograd.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/aligned_array.h"
#include "kernels/convolution_layout.h"
#include "kernels/winograd_kernels.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

constexpr int64_t kMostOutputs = 4, kMostSide = kMostOutputs + 2, kMostPositions = kMostSide * kMostSide;
/// So many outputs are requantized at once.
constexpr int64_t kMostTilesInARow = kRowBlock / kMostOutputs;
/// The transformed inputs of a block of tiles and the transformed weights of a panel should stay in the second cache together.
constexpr int64_t kInputBytes = 480 * 1024;
/// Of products: a row for each plane of a tile.
constexpr int64_t kMostRows = 48, kFewestRows = 8;
/// Positions that lie a power of two apart would compete for the same lines of the first cache.
constexpr int64_t kPadding = 32;

/// How the outputs along a dimension are cut into tiles: of a size, and the last of them, if that helps, of one less.
struct Cut {
  Cut(int64_t size, int64_t side) : side(side), tiles(ceil_div(size, side)), whole(tiles) {
    if (side == kMostOutputs) whole -= std::min(tiles * side - size, tiles);
  }
  bool is_whole(int64_t tile) const { return tile < whole; }
  int64_t begin(int64_t tile) const { return tile * side - std::max<int64_t>(tile - whole, 0); }
  int64_t positions() const { return tiles * (side + 1) + whole; }

  int64_t side, tiles;
  int64_t whole;  ///< so many tiles, the first ones
};

/// How outputs are cut into tiles, each of some planes that follow each other along the depth, and those into blocks. What
/// several planes of a tile read of the input, with one depth tap or another, is transformed once for all of them. The last tile
/// along the depth may have planes that nobody needs, as it may have rows and columns.
struct Tiling {
  Tiling(const ConvolutionGeometry& geometry, const Spatial& out_size, int64_t batch, int64_t side, int64_t planes_of_tile)
      : outputs(side),
        planes(planes_of_tile),
        depth(ceil_div(out_size[0], planes)),
        rows(out_size[1], side),
        columns(out_size[2], side),
        tiles(batch * depth * rows.tiles * columns.tiles),
        tap_spacing(geometry.stride[0] == 1 ? std::min(geometry.dilation[0], planes) : planes),
        input_planes((geometry.kernel[0] - 1) * tap_spacing + planes),
        blocks(ceil_div(tiles, most_in_a_block(geometry))) {}

  int64_t most_in_a_block(const ConvolutionGeometry& geometry) const {
    const int64_t bytes = input_planes * positions() * geometry.in_channels / geometry.groups * 2;
    return std::clamp(kInputBytes / bytes, ceil_div(kFewestRows, planes), kMostRows / planes);
  }
  int64_t positions() const { return (outputs + 2) * (outputs + 2); }
  int64_t begin(int64_t block) const { return part_begin(tiles, blocks, block); }

  int64_t outputs, planes;  ///< of a tile: planes x outputs x outputs
  int64_t depth;            ///< of tiles
  Cut rows, columns;
  int64_t tiles;
  /// A tile's input is a row of planes: those that the first depth tap reads, and then, or among them already, those of the next
  /// tap, and so on. So many lie between the first ones of two taps.
  int64_t tap_spacing;
  int64_t input_planes;
  int64_t blocks;
};

/// Whether sums of at most that magnitude can be told from what comes out of the algorithm.
bool fits(int64_t largest_sum, int64_t outputs) {
  return largest_sum << (outputs == 2 ? 2 : 6) <= std::numeric_limits<int32_t>::max();
}

/// How many sums of products an output has: one, or one for each tap along the depth.
int64_t sums_of(const PackedConvolution& weight, int64_t outputs) {
  return fits(weight.layout().largest_sum, outputs) ? 1 : weight.geometry().kernel[0];
}

double cost_of(const Tiling& tiling, const PackedConvolution& weight, const WinogradCosts& costs) {
  const ConvolutionGeometry& geometry = weight.geometry();
  const double in = static_cast<double>(geometry.in_channels / geometry.groups);
  const double out = static_cast<double>(ceil_div(geometry.out_channels / geometry.groups, kColumns) * kColumns);
  const double products = static_cast<double>(geometry.kernel[0]) * in * out;
  const double inputs = static_cast<double>(tiling.tiles * tiling.input_planes);
  const double outputs = static_cast<double>(tiling.tiles * tiling.planes), blocks = static_cast<double>(tiling.blocks);
  const double sums = static_cast<double>(sums_of(weight, tiling.outputs)), positions = static_cast<double>(tiling.positions());
  // The share of the positions that tiles have, of which some are of fewer outputs.
  const double share = static_cast<double>(tiling.rows.positions() * tiling.columns.positions()) /
                       (static_cast<double>(tiling.rows.tiles * tiling.columns.tiles) * positions);
  return static_cast<double>(geometry.groups) * positions *
         (share * (outputs * (products * costs.product + sums * out * costs.output) + inputs * in * costs.input) +
          blocks * products * costs.weight);
}

Tiling cheapest_tiling(const KernelTable& table, const PackedConvolution& weight, const Spatial& out_size, int64_t batch,
                       int64_t outputs) {
  Tiling cheapest(weight.geometry(), out_size, batch, outputs, 1);
  double least = cost_of(cheapest, weight, table.winograd->costs);
  for (int64_t planes = 2; planes <= std::min(out_size[0], kMostRows); ++planes) {
    const Tiling tiling(weight.geometry(), out_size, batch, outputs, planes);
    const double cost = cost_of(tiling, weight, table.winograd->costs);
    if (cost >= least) continue;
    least = cost;
    cheapest = tiling;
  }
  return cheapest;
}

/// Storage of a thread, which its next call uses again.
struct Scratch {
  AlignedScratch<int16_t> input, weight;
  AlignedScratch<int32_t> sums, outputs;
};

class TileBlock {
 public:
  TileBlock(const ConvolutionCall& call, const PackedConvolution& weight, const Tiling& tiling, const uint8_t* padding,
            const RequantizedColumns& terms, Scratch& scratch)
      : call_(call),
        phase_(weight.layout().phases[0]),
        tiling_(tiling),
        padding_(padding),
        terms_(terms),
        scratch_(scratch),
        sums_(sums_of(weight, tiling.outputs)),
        side_(tiling.outputs + 2),
        channels_(call.geometry.in_channels / call.geometry.groups),
        transforms_(tiling.outputs == 2 ? call.table.winograd->of_2x2 : call.table.winograd->of_4x4) {}

  /// Transforms the inputs of the tiles [begin, end), for a group of channels.
  void take(int64_t begin, int64_t end, int64_t group) {
    tiles_ = end - begin;
    find_tiles(begin);
    row_stride_ = channels_ + kPadding;
    position_stride_ = tiling_.input_planes * tiles_ * row_stride_ + kPadding;
    int16_t* input = scratch_.input.reserve(tiling_.positions() * position_stride_);
    const uint8_t* pixels[kMostPositions];
    for (int64_t plane = 0; plane < tiling_.input_planes; ++plane) {
      const int64_t tap = plane / tiling_.tap_spacing, output_plane = plane % tiling_.tap_spacing;
      for (int64_t tile = 0; tile < tiles_; ++tile) {
        const Tile& it = tile_[tile];
        find_pixels(it, output_plane, tap, group * channels_, pixels);
        transforms_.input({pixels, channels_, input + it.slot * row_stride_, position_stride_, it.kind});
      }
      input += tiles_ * row_stride_;
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
      const int64_t tiles = std::min({tiles_ - tile, tiling_.columns.tiles - tile_[tile].column, kMostTilesInARow});
      finish(tile, tiles, args, first_channel + panel * kColumns);
      tile += tiles;
    }
  }

 private:
  struct Tile {
    int64_t column;  ///< of the tiles in its row
    Pixel first;     ///< of its outputs
    WinogradTile kind;
    int64_t slot;  ///< where its inputs and sums lie
  };

  /// Finds the tiles of the block. Their slots are ordered so that those that are of all rows follow each other, and so do those
  /// of all columns.
  void find_tiles(int64_t first) {
    const Cut &rows = tiling_.rows, &columns = tiling_.columns;
    const auto order = [](const WinogradTile& kind) {
      return kind.fewer_rows ? (kind.fewer_columns ? 3 : 2) : (kind.fewer_columns ? 0 : 1);
    };
    int64_t ends[5] = {};
    int64_t column = first % columns.tiles, row = first / columns.tiles % rows.tiles;
    int64_t layer = first / columns.tiles / rows.tiles;
    for (int64_t i = 0; i < tiles_; ++i) {
      const Spatial at{layer % tiling_.depth * tiling_.planes, rows.begin(row), columns.begin(column)};
      tile_[i] = {column, {layer / tiling_.depth, at}, {!rows.is_whole(row), !columns.is_whole(column)}, 0};
      ++ends[order(tile_[i].kind) + 1];
      if (++column < columns.tiles) continue;
      column = 0;
      if (++row < rows.tiles) continue;
      row = 0;
      ++layer;
    }
    std::partial_sum(ends, std::end(ends), ends);
    whole_rows_ = {0, ends[2]};
    whole_columns_ = {ends[1], ends[3]};
    for (int64_t i = 0; i < tiles_; ++i) tile_[i].slot = ends[order(tile_[i].kind)]++;
  }

  /// The slots that have a position.
  WordRows slots_of(int64_t row, int64_t column) const {
    const int64_t begin = column == side_ - 2 ? whole_columns_.begin : 0;
    const int64_t end_of_columns = column == side_ - 2 ? whole_columns_.end : tiles_;
    return {begin, row == side_ - 2 ? std::min(whole_rows_.end, end_of_columns) : end_of_columns};
  }

  /// Where the inputs of a plane of a tile lie, for a tap along the depth.
  void find_pixels(const Tile& tile, int64_t plane, int64_t tap, int64_t channel, const uint8_t** pixels) const {
    const auto& [depth, height, width] = call_.input.size;
    const auto& [image, at] = tile.first;
    const int64_t z = phase_.axes[0].input(at[0] + plane, tap), y = phase_.axes[1].input(at[1], 0);
    const int64_t x = phase_.axes[2].input(at[2], 0), channels = call_.geometry.in_channels;
    const bool plane_inside = 0 <= z && z < depth;
    const uint8_t* const from =
        plane_inside ? call_.input.q + (image * depth + z) * height * width * channels + channel : nullptr;
    for (int64_t i = 0; i < side_; ++i) {
      const bool row_inside = plane_inside && 0 <= y + i && y + i < height;
      int64_t offset = ((y + i) * width + x) * channels;
      for (int64_t j = 0; j < side_; ++j, offset += channels) {
        const bool inside = row_inside && 0 <= x + j && x + j < width;
        *pixels++ = inside ? from + offset : padding_;
      }
    }
  }

  void multiply(const int8_t* panel) {
    const int64_t tap_quads = channels_ / 4, tap_bytes = 9 * channels_ * kColumns;
    const int64_t tap_input = tiling_.tap_spacing * tiles_ * row_stride_;
    sums_stride_ = tiling_.planes * tiles_ * kColumns;
    int32_t* const sums = scratch_.sums.reserve(sums_ * tiling_.positions() * sums_stride_);
    for (int64_t tap = 0; tap < call_.geometry.kernel[0]; ++tap) {
      const int64_t sum = tap % sums_;
      for (int64_t first = 0; first < tap_quads; first += kWinogradQuads) {
        const int64_t quads = std::min(kWinogradQuads, tap_quads - first);
        multiply(panel + tap * tap_bytes + first * 4 * kColumns, quads, tap * tap_input + first * 2,
                 /*add=*/tap > sum || first > 0, sums + sum * tiling_.positions() * sums_stride_);
      }
    }
  }

  /// Some quads of a depth tap. @param input  where they lie in a position's rows
  void multiply(const int8_t* panel, int64_t quads, int64_t input, bool add, int32_t* sums) {
    int16_t* const weight = scratch_.weight.reserve(2 * side_ * kWinogradWeightStride);
    const bool all_have_all = whole_rows_.end == tiles_ && whole_columns_.begin == 0 && whole_columns_.end == tiles_;
    const int64_t planes_at_once = all_have_all ? tiling_.planes : 1;
    for (int part = 0; part < side_ / 2; ++part) {
      transforms_.weight({panel, channels_ * kColumns, quads, part, weight});
      for (const int which : {0, 1}) {
        const int64_t row = winograd_row(static_cast<int>(side_), part, which), position = row * side_;
        for (int64_t plane = 0; plane < tiling_.planes; plane += planes_at_once) {
          WordRows rows[kMostSide];
          for (int64_t column = 0; column < side_; ++column) {
            rows[column] = slots_of(row, column);
            rows[column].begin += plane * tiles_;
            rows[column].end += (plane + planes_at_once - 1) * tiles_;
          }
          call_.table.winograd->multiply({.positions = side_,
                                          .rows_of_words = scratch_.input.data() + position * position_stride_ + input,
                                          .position_stride = position_stride_,
                                          .row_stride = row_stride_,
                                          .odd = channels_ / 2,
                                          .rows = rows,
                                          .weight = weight + which * side_ * kWinogradWeightStride,
                                          .weight_position_stride = kWinogradWeightStride,
                                          .quads = quads,
                                          .add = add,
                                          .sums = sums + position * sums_stride_,
                                          .sums_position_stride = sums_stride_});
        }
      }
    }
  }

  /// Some tiles in a row.
  void finish(int64_t tile, int64_t tiles, RequantizeSumsArgs args, int64_t channel) {
    const int64_t outputs = tiling_.outputs, row_stride = tiles * outputs * kColumns;
    int32_t* const out = scratch_.outputs.reserve(outputs * row_stride);
    const auto& [depth, height, width] = call_.out_size;
    const Tile &first = tile_[tile], &last = tile_[tile + tiles - 1];
    const auto& [image, at] = first.first;
    args.rows = std::min(last.first.at[2] + outputs - last.kind.fewer_columns, width) - at[2];
    const int64_t rows = std::min(outputs - first.kind.fewer_rows, height - at[1]);
    for (int64_t plane = 0; plane < std::min(tiling_.planes, depth - at[0]); ++plane) {
      for (int64_t sum = 0; sum < sums_; ++sum) {
        const int32_t* const sums =
            scratch_.sums.data() + sum * tiling_.positions() * sums_stride_ + plane * tiles_ * kColumns;
        for (int64_t i = tile; i < tile + tiles; ++i) {
          const Tile& it = tile_[i];
          int32_t* const to = out + (it.first.at[2] - at[2]) * kColumns;
          transforms_.output({sums + it.slot * kColumns, sums_stride_, to, row_stride, it.kind, /*add=*/sum > 0});
        }
      }
      for (int64_t i = 0; i < rows; ++i) {
        args.sums = out + i * row_stride;
        args.to = from(call_.to, ((image * depth + at[0] + plane) * height + at[1] + i) * width + at[2], channel);
        call_.table.winograd->requantize(args);
      }
    }
  }

  const ConvolutionCall& call_;
  const Phase& phase_;
  const Tiling& tiling_;
  const uint8_t* padding_;
  const RequantizedColumns& terms_;
  Scratch& scratch_;
  int64_t sums_;  ///< of products
  int64_t side_, channels_;
  const WinogradTransforms& transforms_;
  int64_t tiles_ = 0;
  Tile tile_[kMostRows];
  WordRows whole_rows_{}, whole_columns_{};  ///< slots
  int64_t row_stride_ = 0, position_stride_ = 0, sums_stride_ = 0;
};

}  // namespace

bool has_winograd(const KernelTable& table, const PackedConvolution& weight, bool affine, int64_t outputs) {
  const ConvolutionGeometry& g = weight.geometry();
  const int64_t channels = g.in_channels / g.groups;
  const auto in_plane = [](const Spatial& spatial, int64_t value) { return spatial[1] == value && spatial[2] == value; };
  return table.winograd && !affine && !g.transposed && in_plane(g.kernel, 3) && in_plane(g.stride, 1) &&
         in_plane(g.dilation, 1) && channels % 4 == 0 && channels >= kWinogradChannels &&
         fits(weight.layout().largest_plane_sum, outputs);
}

double winograd_cost(const KernelTable& table, const PackedConvolution& weight, const Spatial& out_size, int64_t batch,
                     int64_t outputs) {
  return cost_of(cheapest_tiling(table, weight, out_size, batch, outputs), weight, table.winograd->costs);
}

void run_winograd_phase(const ConvolutionCall& call, const PackedConvolution& weight, int64_t outputs, ParallelFor parallel_for) {
  const ConvolutionGeometry& g = call.geometry;
  const Tiling tiling = cheapest_tiling(call.table, weight, call.out_size, call.input.batch, outputs);
  const Phase& phase = weight.layout().phases[0];
  const int64_t panels = phase.groups[0].panels();
  thread_local std::vector<uint8_t> padding_of_thread;
  padding_of_thread.assign(g.in_channels, static_cast<uint8_t>(call.input.zero_point));
  const uint8_t* const padding = padding_of_thread.data();
  thread_local RequantizedColumns terms_of_thread;
  const RequantizedColumns& terms = requantized_columns(call, phase, terms_of_thread);
  const int64_t rows = tiling.tiles / std::max<int64_t>(tiling.blocks, 1) * tiling.planes;
  const int64_t item_work = rows * tiling.positions() * kColumns * g.kernel[0] * (g.in_channels / g.groups);

  parallel_for(0, tiling.blocks * g.groups * panels, items_per_task(kMacsPerTask, item_work), [&](int64_t begin, int64_t end) {
    thread_local Scratch scratch;
    TileBlock block(call, weight, tiling, padding, terms, scratch);
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
