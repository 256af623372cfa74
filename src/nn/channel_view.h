// How modules with a number for each channel see the integers of a tensor.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace octet::nn {

/// Dense integers whose channels are the dimension 1 of [N, C, ...], as [rows][channels][positions]: contiguous ones are
/// [N][C][...], channels-last ones [N * ...][C][1].
struct ChannelView {
  at::Tensor integers;
  int64_t rows;
  int64_t channels;
  int64_t positions;
};

/// @param integers  of two dimensions at least; copied only where they are not dense
inline ChannelView channel_view(const at::Tensor& integers) {
  const auto memory_format = integers.suggest_memory_format();
  const int64_t positions = c10::multiply_integers(integers.sizes().slice(2));
  ChannelView view{integers.contiguous(memory_format), integers.size(0), integers.size(1), positions};
  if (memory_format != at::MemoryFormat::Contiguous) {
    view.rows *= positions;
    view.positions = 1;
  }
  return view;
}

}  // namespace octet::nn
