// Ops that move elements or show them in another order: they act on the integers, and the results keep the quantizer.
#include <tensor/on_integers.h>
#include <tensor/op_table.h>

#include <ATen/ops/full_like.h>

namespace octet {
namespace {

void zero_(OpCall& call) { call.answer_integers(at::full_like(call.integers(), call.quantizer().zero_point)); }

}  // namespace

std::span<const OpRow> layout_ops() {
  constexpr auto kAny = Accepts::per_channel;
  static constexpr OpRow kRows[] = {
      // Views: they share memory with the tensor that they show.
      {"view", on_integers, kAny},
      {"_unsafe_view", on_integers, kAny},
      {"_reshape_alias", on_integers, kAny},
      {"permute", on_integers, kAny},
      {"transpose.int", on_integers, kAny},
      {"transpose_", on_integers, kAny},
      {"t", on_integers, kAny},
      {"squeeze", on_integers, kAny},
      {"squeeze.dim", on_integers, kAny},
      {"squeeze.dims", on_integers, kAny},
      {"unsqueeze", on_integers, kAny},
      {"expand", on_integers, kAny},
      {"slice.Tensor", on_integers, kAny},
      {"select.int", on_integers, kAny},
      {"split.Tensor", on_integers, kAny},
      {"split_with_sizes", on_integers, kAny},
      {"unsafe_split.Tensor", on_integers, kAny},
      {"unsafe_split_with_sizes", on_integers, kAny},
      {"unbind.int", on_integers, kAny},
      {"diagonal", on_integers, kAny},
      {"unfold", on_integers, kAny},
      {"as_strided", on_integers},
      // Copies.
      {"repeat", on_integers, kAny},
      {"flip", on_integers, kAny},
      {"roll", on_integers, kAny},
      {"rot90", on_integers, kAny},
      {"index_select", on_integers, kAny},
      {"gather", on_integers},
      {"take", on_integers},
      {"index.Tensor", on_integers},
      {"masked_select", on_integers},
      {"pixel_shuffle", on_integers},
      {"pixel_unshuffle", on_integers},
      {"channel_shuffle", on_integers},
      {"native_channel_shuffle", on_integers},
      {"reflection_pad1d", on_integers},
      {"reflection_pad2d", on_integers},
      {"reflection_pad3d", on_integers},
      {"replication_pad1d", on_integers},
      {"replication_pad2d", on_integers},
      {"replication_pad3d", on_integers},
      // Those that put a given real number among the elements.
      {"constant_pad_nd", on_integers_with_values},
      {"masked_fill.Scalar", on_integers_with_values},
      {"fill.Scalar", on_integers_with_values},
      {"zero_", zero_},
      {"index_fill.int_Scalar", on_integers_with_values},
      {"where.self", on_integers},
  };
  return kRows;
}

}  // namespace octet
