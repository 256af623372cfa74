#include <octet/kernels/normalization.h>

#include <cmath>
#include <type_traits>

#include "kernels/check.h"
#include "kernels/kernel_table.h"
#include "kernels/quantize_args.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

template <class Quantized>
struct Kernels {
  explicit Kernels(const KernelTable& table) {
    if constexpr (std::is_same_v<Quantized, uint8_t>) {
      integer_sums = table.integer_sums_u8;
      normalize = table.normalize_u8;
    } else {
      integer_sums = table.integer_sums_s8;
      normalize = table.normalize_s8;
    }
  }

  /// One row, or a part of it: [channels][positions].
  void normalize_channels(const Quantized* q, int64_t channels, int64_t positions, NormalizeArgs args, Quantized* out) const {
    args.one_channel = positions > 1;
    const int64_t calls = args.one_channel ? channels : 1, columns = args.one_channel ? positions : channels;
    for (int64_t call = 0; call < calls; ++call) {
      normalize(q, columns, args, out);
      q += columns;
      out += columns;
      ++args.weight;
      ++args.bias;
    }
  }

  void (*integer_sums)(const Quantized* q, int64_t n, IntegerSums* sums);
  void (*normalize)(const Quantized* q, int64_t n, const NormalizeArgs& args, Quantized* out);
};

/// Sets center, scale and shift for n numbers of these sums.
void set_statistics(const IntegerSums& sums, int64_t n, double x_scale, double eps, NormalizeArgs& args) {
  const auto count = static_cast<double>(n);
  const auto center = static_cast<int64_t>(std::nearbyint(static_cast<double>(sums.sum) / count));
  const int64_t centered_sum = sums.sum - center * n;
  const int64_t centered_squares = sums.sum_of_squares - center * (sums.sum + centered_sum);
  const double offset = static_cast<double>(centered_sum) / count;
  const double variance = (static_cast<double>(centered_squares) - offset * static_cast<double>(centered_sum)) / count;
  const double scale = x_scale / std::sqrt(variance * x_scale * x_scale + eps);
  args.center = static_cast<int32_t>(center);
  args.scale = static_cast<float>(scale);
  args.shift = static_cast<float>(-offset * scale);
}

}  // namespace

template <class Quantized>
void batch_norm(const ChannelRows<Quantized>& x, const AffineQParams& qparams, const ChannelTerms& terms,
                const AffineQParams& out_qparams, Quantized* out, ParallelFor parallel_for) {
  const QuantizeArgs out_args = quantize_args<Quantized>(out_qparams, "batch_norm");
  const Kernels<Quantized> kernels_of_type(kernels());
  // A task is some channels of some rows, so that one contiguous image too is cut.
  const int64_t channels_at_once = x.positions > 1 ? 1 : x.channels;
  const int64_t items_of_row = x.positions > 1 ? x.channels : 1;
  const int64_t item_size = channels_at_once * x.positions;
  parallel_for(0, x.rows * items_of_row, rows_per_task(item_size), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t channel = item % items_of_row;
      const NormalizeArgs args{qparams.zero_point,   qparams.scale, 0.0f,    terms.weight + channel,
                               terms.bias + channel, false,         out_args};
      kernels_of_type.normalize_channels(x.q + item * item_size, channels_at_once, x.positions, args, out + item * item_size);
    }
  });
}

template <class Quantized>
void group_norm(const ChannelRows<Quantized>& x, int64_t groups, float x_scale, double eps, const ChannelTerms& terms,
                const AffineQParams& out_qparams, Quantized* out, ParallelFor parallel_for) {
  check(groups > 0 && x.channels % groups == 0, "group_norm: ", groups, " groups do not divide ", x.channels, " channels");
  const QuantizeArgs out_args = quantize_args<Quantized>(out_qparams, "group_norm");
  const Kernels<Quantized> kernels_of_type(kernels());
  const int64_t channels = x.channels / groups, group_size = channels * x.positions;
  if (group_size == 0) return;
  parallel_for(0, x.rows * groups, rows_per_task(group_size), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const Quantized* const q = x.q + item * group_size;
      const int64_t channel = item % groups * channels;
      NormalizeArgs args{0, 0.0f, 0.0f, terms.weight + channel, terms.bias + channel, false, out_args};
      IntegerSums sums;
      kernels_of_type.integer_sums(q, group_size, &sums);
      set_statistics(sums, group_size, x_scale, eps, args);
      kernels_of_type.normalize_channels(q, channels, x.positions, args, out + item * group_size);
    }
  });
}

template void batch_norm(const ChannelRows<uint8_t>&, const AffineQParams&, const ChannelTerms&, const AffineQParams&, uint8_t*,
                         ParallelFor);
template void batch_norm(const ChannelRows<int8_t>&, const AffineQParams&, const ChannelTerms&, const AffineQParams&, int8_t*,
                         ParallelFor);
template void group_norm(const ChannelRows<uint8_t>&, int64_t, float, double, const ChannelTerms&, const AffineQParams&, uint8_t*,
                         ParallelFor);
template void group_norm(const ChannelRows<int8_t>&, int64_t, float, double, const ChannelTerms&, const AffineQParams&, int8_t*,
                         ParallelFor);

}  // namespace octet::kernels
