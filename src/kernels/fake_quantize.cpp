#include <octet/kernels/fake_quantize.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/check.h"
#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

std::vector<FakeQuantizeArgs> checked_args(const ChannelQParams& qparams, int64_t channels) {
  const auto [scale, zero_point, quant_min, quant_max] = qparams;
  check(quant_min <= quant_max, "fake_quantize: quantization range ", quant_min, " .. ", quant_max, " is empty");
  std::vector<FakeQuantizeArgs> args;
  args.reserve(channels);
  for (int64_t channel = 0; channel < channels; ++channel) {
    check(scale[channel] > 0.0f && std::isfinite(scale[channel]), "fake_quantize: scale must be positive and finite, got ",
          scale[channel]);
    check(quant_min <= zero_point[channel] && zero_point[channel] <= quant_max, "fake_quantize: zero point ", zero_point[channel],
          " is not in ", quant_min, " .. ", quant_max);
    args.push_back({.inverse_scale = 1.0f / scale[channel],
                    .low = static_cast<float>(int64_t{quant_min} - zero_point[channel]),
                    .high = static_cast<float>(int64_t{quant_max} - zero_point[channel]),
                    .scale = scale[channel]});
  }
  return args;
}

/// Some elements of one row, and the first byte of their mask.
struct RowPart {
  int64_t channel;
  int64_t offset;  ///< in the whole tensor
  int64_t count;
  int64_t mask_offset;
};

/// Spreads the bytes of the mask, so that no two threads share one.
template <class Body>
void for_each_row_part(const ChannelLayout& layout, ParallelFor parallel_for, const Body& body) {
  const int64_t row_bytes = layout.row_mask_bytes();
  parallel_for(0, layout.mask_bytes(), kElementsPerTask / 8, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t row = at / row_bytes, first = at % row_bytes, last = std::min(row_bytes, first + end - at);
      body(RowPart{.channel = row % layout.channels,
                   .offset = row * layout.inner + first * 8,
                   .count = std::min(layout.inner, last * 8) - first * 8,
                   .mask_offset = at});
      at += last - first;
    }
  });
}

}  // namespace

void fake_quantize(const float* x, const ChannelLayout& layout, const ChannelQParams& qparams, float* out, uint8_t* mask,
                   ParallelFor parallel_for) {
  const std::vector<FakeQuantizeArgs> args = checked_args(qparams, layout.channels);
  const KernelTable& table = kernels();
  const auto kernel = mask ? table.fake_quantize_with_mask : table.fake_quantize;
  for_each_row_part(layout, parallel_for, [&](const RowPart& part) {
    kernel(x + part.offset, part.count, args[part.channel], out + part.offset, mask ? mask + part.mask_offset : nullptr);
  });
}

void fake_quantize_backward(const float* grad_out, const ChannelLayout& layout, const uint8_t* mask, float* grad_in,
                            ParallelFor parallel_for) {
  const KernelTable& table = kernels();
  for_each_row_part(layout, parallel_for, [&](const RowPart& part) {
    table.keep_where_set(grad_out + part.offset, mask + part.mask_offset, part.count, grad_in + part.offset);
  });
}

void fake_quantize_learnable_backward(const float* x, const float* grad_out, const ChannelLayout& layout,
                                      const ChannelQParams& qparams, float* grad_in, float* grad_scale, float* grad_zero_point,
                                      ParallelFor parallel_for) {
  constexpr int64_t kPortion = 4096;
  const std::vector<FakeQuantizeArgs> args = checked_args(qparams, layout.channels);
  const KernelTable& table = kernels();
  const int64_t portions = (layout.inner + kPortion - 1) / kPortion;  // of a row
  std::vector<LearnableSums> sums(layout.rows() * portions);
  const auto channel_of = [&](int64_t part) { return part / portions % layout.channels; };
  parallel_for(
      0, std::ssize(sums), items_per_task(kElementsPerTask, std::min(layout.inner, kPortion)), [&](int64_t begin, int64_t end) {
        for (int64_t part = begin; part < end; ++part) {
          const int64_t first = part % portions * kPortion, offset = part / portions * layout.inner + first;
          sums[part] = table.fake_quantize_learnable_backward(
              x + offset, grad_out + offset, std::min(kPortion, layout.inner - first), args[channel_of(part)], grad_in + offset);
        }
      });
  std::vector<double> of_scale(layout.channels), of_zero_point(layout.channels);
  for (int64_t part = 0; part < std::ssize(sums); ++part) {
    of_scale[channel_of(part)] += sums[part].scale;
    of_zero_point[channel_of(part)] += sums[part].clamped;
  }
  for (int64_t channel = 0; channel < layout.channels; ++channel) {
    grad_scale[channel] = static_cast<float>(of_scale[channel]);
    grad_zero_point[channel] = static_cast<float>(-of_zero_point[channel] * qparams.scale[channel]);
  }
}

}  // namespace octet::kernels
