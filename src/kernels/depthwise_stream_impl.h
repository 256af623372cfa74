#pragma once

#include <utility>

#include "kernels/depthwise_channels_impl.h"

namespace octet::kernels {

/// Blocks of rows for kernels of kTaps columns and kWeightRows rows (0: any) and a step of kStep: each column of the input is
/// laid out in registers, and added to the sums of all the outputs that it is a tap of, which are in registers too.
template <class Vector, int kTaps, int kStep, int kWeightRows>
class DepthwiseStream {
  using Channels = DepthwiseChannels<Vector>;
  using Bytes = typename Vector::Bytes;
  using Int = typename Vector::Int;
  static constexpr int kGroup = Vector::kGroup, kParts = Vector::kParts;
  /// Where the last row would be a group by itself, two columns of it are laid out as a group instead.
  static constexpr bool kPairsColumns = kGroup == 2 && kStep == 2 && kWeightRows % 2 == 1;
  static constexpr int kSlots = (kTaps + kStep - 1) / kStep;  // outputs that a column is a tap of, at most
  template <int kRows>
  using Slots = typename Channels::Sums[kSlots][1][kRows];

 public:
  DepthwiseStream(const DepthwiseRowsArgs& args, int64_t channel)
      : channels_(args, channel, 1),
        two_rows_(args.row_step == kStep && (kStep == 2 || args.weight_rows < kGroup)),
        any_groups_(channels_.groups()),
        pair_weight_(channels_.scratch()),
        columns_(args.columns),
        pixel_step_(args.channels),
        out_stride_(args.out_stride),
        first_(args.first_column),
        end_(args.first_column + (args.outputs - 1) * kStep + kTaps) {
    if constexpr (kPairsColumns) {
      for (int tap = 0, row = kWeightRows - 1; tap < kTaps; tap += 2) {
        const Bytes second = tap + 1 < kTaps ? channels_.weight_bytes(row, tap + 1) : Vector::set_bytes(0);
        Channels::template store_interleaved<int8_t>({channels_.weight_bytes(row, tap), second},
                                                     pair_weight_ + tap / 2 * Channels::kGroupBytes);
      }
    }
  }

  static constexpr int kRows = Vector::kStreamRows;
  /// The second row's inputs are made of the first row's: at a step of 1 they must be in one group.
  bool two_rows() const { return two_rows_; }

  template <int kRows>
  void run(const uint8_t* const* rows, uint8_t* const* out) const {
    Slots<kRows> slots;
    Place<kRows> place{rows, first_, {}};
    for (int r = 0; r < kRows; ++r) place.out[r] = out[r];
    begin(slots, place, std::make_integer_sequence<int, kTaps - 1>{});
    while (go_on(slots, place, std::make_integer_sequence<int, kSlots * kStep>{})) {
    }
  }

 private:
  /// Without the one of the last row alone.
  int64_t groups() const {
    if constexpr (kPairsColumns) return kWeightRows / kGroup;
    return kWeightRows > 0 ? (kWeightRows + kGroup - 1) / kGroup : any_groups_;
  }

  template <int kRows>
  struct Place {
    const uint8_t* const* rows;
    int64_t column;
    uint8_t* out[kRows];
  };

  /// The columns before the one that completes the first output.
  template <int kRows, int... kColumns>
  [[gnu::always_inline]] void begin(Slots<kRows>& slots, Place<kRows>& place, std::integer_sequence<int, kColumns...>) const {
    (column<kColumns>(slots, place), ...);
  }

  /// The next columns, until sums are in their slots again as they were.
  template <int kRows, int... kColumns>
  [[gnu::always_inline]] bool go_on(Slots<kRows>& slots, Place<kRows>& place, std::integer_sequence<int, kColumns...>) const {
    return (next<kColumns>(slots, place) && ...);
  }

  template <int kColumn, int kRows>
  [[gnu::always_inline]] bool next(Slots<kRows>& slots, Place<kRows>& place) const {
    column<kTaps - 1 + kColumn>(slots, place);
    if constexpr (kColumn % kStep == 0) channels_.finish(slots[kColumn / kStep % kSlots], place.out, out_stride_);
    return place.column < end_;
  }

  template <int kColumn, int kRows>
  [[gnu::always_inline]] void column(Slots<kRows>& slots, Place<kRows>& place) const {
    if constexpr (kColumn % kStep == 0) {
#pragma GCC unroll 2
      for (int r = 0; r < kRows; ++r) channels_.start(slots[kColumn / kStep % kSlots][0][r]);
    }
    const uint8_t* weight = channels_.weight();
    for (int64_t group = 0; group < groups(); ++group, weight += kTaps * Channels::kGroupBytes) {
      Int inputs[kRows][kParts];
      lay_out(place.rows + group * kGroup, place.column, inputs);
#pragma GCC unroll 8
      for (int part = 0; part < kParts; ++part) {
        if constexpr (kRows == 2 && kStep == 1) inputs[1][part] = Vector::next_row(inputs[0][part]);
        add<kColumn, kStep>(slots, inputs, part, weight + part * sizeof(Int), std::make_integer_sequence<int, kTaps>{});
      }
    }
    if constexpr (kPairsColumns && kColumn % 2 == 0) add_pair<kColumn>(slots, place.rows[kWeightRows - 1], place.column);
    ++place.column;
  }

  /// Those of the second row at a step of 1 are left to be made of the first row's.
  template <int kRows>
  [[gnu::always_inline]] void lay_out(const uint8_t* const* rows, int64_t column, Int (&inputs)[kRows][kParts]) const {
    constexpr int kLaidOut = kStep == 2 ? kRows : 1, kLoaded = kGroup + 2 * (kLaidOut - 1);
    Bytes bytes[kLoaded];  // rows that the two have in common once
    if (static_cast<uint64_t>(column) < static_cast<uint64_t>(columns_)) {
#pragma GCC unroll 8
      for (int j = 0; j < kLoaded; ++j) bytes[j] = channels_.load(rows[j] + column * pixel_step_);
    } else {
#pragma GCC unroll 8
      for (int j = 0; j < kLoaded; ++j) bytes[j] = channels_.padding();
    }
#pragma GCC unroll 2
    for (int r = 0; r < kLaidOut; ++r) {
      Bytes group[kGroup];
#pragma GCC unroll 4
      for (int j = 0; j < kGroup; ++j) group[j] = bytes[r * 2 + j];
      Vector::template interleave<uint8_t>(group, inputs[r]);
    }
  }

  /// The last row of this column and the next.
  template <int kColumn, int kRows>
  [[gnu::always_inline]] void add_pair(Slots<kRows>& slots, const uint8_t* row, int64_t column) const {
    const Bytes bytes[kGroup] = {load(row, column), load(row, column + 1)};
    Int inputs[1][kParts];
    Vector::template interleave<uint8_t>(bytes, inputs[0]);
#pragma GCC unroll 8
    for (int part = 0; part < kParts; ++part) {
      const uint8_t* const weight = pair_weight_ + part * sizeof(Int);
      add<kColumn / 2, 1>(slots, inputs, part, weight, std::make_integer_sequence<int, (kTaps + 1) / 2>{});
    }
  }

  Bytes load(const uint8_t* row, int64_t column) const {
    const bool inside = static_cast<uint64_t>(column) < static_cast<uint64_t>(columns_);
    return inside ? channels_.load(row + column * pixel_step_) : channels_.padding();
  }

  template <int kColumn, int kColumnStep, int kRows, int... kAll>
  [[gnu::always_inline]] static void add(Slots<kRows>& slots, const Int (&inputs)[kRows][kParts], int part, const uint8_t* weight,
                                         std::integer_sequence<int, kAll...>) {
    (add_tap<kColumn, kColumnStep, kAll>(slots, inputs, part, weight + kAll * Channels::kGroupBytes), ...);
  }

  template <int kColumn, int kColumnStep, int kTap, int kRows>
  [[gnu::always_inline]] static void add_tap(Slots<kRows>& slots, const Int (&inputs)[kRows][kParts], int part,
                                             const uint8_t* weight) {
    if constexpr (kTap <= kColumn && (kColumn - kTap) % kColumnStep == 0) {
      auto& sums = slots[(kColumn - kTap) / kColumnStep % kSlots][0];
      if constexpr (kRows == 1) {
        Vector::dot(sums[0][part], inputs[0][part], weight);
      } else {
        const Int weights = Vector::load(weight);
#pragma GCC unroll 2
        for (int r = 0; r < kRows; ++r) Vector::dot(sums[r][part], inputs[r][part], weights);
      }
    }
  }

  Channels channels_;
  bool two_rows_;
  int64_t any_groups_;
  uint8_t* pair_weight_;  ///< [pair of taps][kGroupBytes], of the last row
  int64_t columns_, pixel_step_, out_stride_, first_, end_;
};

}  // namespace octet::kernels
