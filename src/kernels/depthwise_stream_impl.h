#pragma once

#include <utility>

#include "kernels/depthwise_channels_impl.h"

namespace octet::kernels {

/// A block of kRows rows of outputs, for kernels of kTaps columns and a step of kStep: each column of the input is laid out in
/// registers, and added to the sums of all the outputs that it is a tap of, which are in registers too.
template <class Vector, int kTaps, int kStep, int kRows>
class DepthwiseStream {
  using Channels = DepthwiseChannels<Vector>;
  using Bytes = typename Vector::Bytes;
  using Int = typename Vector::Int;
  static constexpr int kGroup = Vector::kGroup, kParts = Vector::kParts;
  static constexpr int kSlots = (kTaps + kStep - 1) / kStep;  // outputs that a column is a tap of, at most
  using Slots = typename Channels::Sums[kSlots][1][kRows];

 public:
  /// @param rows  of the input: [groups * kGroup]
  DepthwiseStream(const DepthwiseRowsArgs& args, const Channels& channels, const uint8_t* const* rows)
      : channels_(channels),
        rows_(rows),
        groups_(channels.groups()),
        columns_(args.columns),
        step_(args.channels),
        out_stride_(args.out_stride),
        first_(args.first_column),
        end_(args.first_column + (args.outputs - 1) * kStep + kTaps) {}

  void run(uint8_t* const* out) const {
    Slots slots;
    Place place{first_, {}};
    for (int r = 0; r < kRows; ++r) place.out[r] = out[r];
    begin(slots, place, std::make_integer_sequence<int, kTaps - 1>{});
    while (go_on(slots, place, std::make_integer_sequence<int, kSlots * kStep>{})) {
    }
  }

 private:
  struct Place {
    int64_t column;
    uint8_t* out[kRows];
  };

  /// The columns before the one that completes the first output.
  template <int... kColumns>
  [[gnu::always_inline]] void begin(Slots& slots, Place& place, std::integer_sequence<int, kColumns...>) const {
    (column<kColumns>(slots, place), ...);
  }

  /// The next columns, until sums are in their slots again as they were.
  template <int... kColumns>
  [[gnu::always_inline]] bool go_on(Slots& slots, Place& place, std::integer_sequence<int, kColumns...>) const {
    return (next<kColumns>(slots, place) && ...);
  }

  template <int kColumn>
  [[gnu::always_inline]] bool next(Slots& slots, Place& place) const {
    column<kTaps - 1 + kColumn>(slots, place);
    if constexpr (kColumn % kStep == 0) channels_.finish(slots[kColumn / kStep % kSlots], place.out, out_stride_);
    return place.column < end_;
  }

  template <int kColumn>
  [[gnu::always_inline]] void column(Slots& slots, Place& place) const {
    if constexpr (kColumn % kStep == 0) {
#pragma GCC unroll 2
      for (int r = 0; r < kRows; ++r) channels_.start(slots[kColumn / kStep % kSlots][0][r]);
    }
    const bool inside = static_cast<uint64_t>(place.column) < static_cast<uint64_t>(columns_);
    const int64_t offset = place.column * step_;
    const uint8_t* weight = channels_.weight();
    const uint8_t* const* rows = rows_;
    for (int64_t group = 0; group < groups_; ++group, rows += kGroup, weight += kTaps * Vector::kRows * Channels::kGroupBytes) {
      Bytes bytes[kGroup];
      if (inside) {
#pragma GCC unroll 4
        for (int j = 0; j < kGroup; ++j) bytes[j] = channels_.load(rows[j] + offset);
      } else {
#pragma GCC unroll 4
        for (int j = 0; j < kGroup; ++j) bytes[j] = channels_.padding();
      }
      Int parts[kParts];
      Vector::template interleave<uint8_t>(bytes, parts);
      add<kColumn>(slots, parts, weight, std::make_integer_sequence<int, kTaps>{});
    }
    ++place.column;
  }

  template <int kColumn, int... kAll>
  [[gnu::always_inline]] static void add(Slots& slots, const Int (&parts)[kParts], const uint8_t* weight,
                                         std::integer_sequence<int, kAll...>) {
    (add<kColumn, kAll>(slots, parts, weight), ...);
  }

  template <int kColumn, int kTap>
  [[gnu::always_inline]] static void add(Slots& slots, const Int (&parts)[kParts], const uint8_t* weight) {
    if constexpr (kTap <= kColumn && (kColumn - kTap) % kStep == 0) {
      auto& sums = slots[(kColumn - kTap) / kStep % kSlots][0];
#pragma GCC unroll 2
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int part = 0; part < kParts; ++part) {
          const int64_t at = (kTap * Vector::kRows + r) * Channels::kGroupBytes + part * sizeof(Int);
          Vector::dot(sums[r][part], parts[part], weight + at);
        }
      }
    }
  }

  const Channels& channels_;
  const uint8_t* const* rows_;
  int64_t groups_, columns_, step_, out_stride_, first_, end_;
};

}  // namespace octet::kernels
