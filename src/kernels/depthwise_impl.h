#pragma once

#include "kernels/gemm_finish_impl.h"
#include "kernels/kernel_table.h"

namespace octet::kernels {

/// The sums of some pixels at once, so that weights and pointers are loaded once for all of them.
template <int kPixels, class Simd, class Lanes>
void depthwise_tile(const DepthwiseArgs& args, int64_t pixel, int64_t channel, Lanes lanes, typename Simd::Int start,
                    const Requantizer<Simd, Lanes>& requantize, typename Simd::Float multiplier) {
  const int64_t offset = pixel * args.pixel_step + channel;
  typename Simd::Int sums[kPixels];
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) sums[p] = start;
  for (int64_t pair = 0; pair < args.pairs; ++pair) {
    const auto weights = Simd::load_pairs(args.weight + (pair * args.channels + channel) * 2, lanes);
    const uint8_t* first = args.taps[2 * pair] + offset;
    const uint8_t* second = args.taps[2 * pair + 1] + offset;
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
      const auto inputs = Simd::load_pairs(first + p * args.pixel_step, second + p * args.pixel_step, lanes);
      sums[p] = Simd::add(sums[p], Simd::dot_pairs(inputs, weights));
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) requantize(pixel + p, multiplier, sums[p]);
}

template <class Simd>
void depthwise(const DepthwiseArgs& args) {
  constexpr int kPixels = 4;
  for_each_double_vector<Simd>(args.channels, [&]<class Part, class Lanes>(Part, int64_t channel, Lanes lanes) {
    const Requantizer<Part, Lanes> requantize(args.to, args.column_terms, channel, lanes);
    const auto multiplier = requantize.multiplier(args.scale);
    const auto weight_sum = Part::load(args.column_terms.weight_sum + channel, lanes);
    const auto start = Part::sub(Part::set(0), Part::mul(Part::set(args.zero_point), weight_sum));
    int64_t pixel = 0;
    for (; pixel + kPixels <= args.pixels; pixel += kPixels) {
      depthwise_tile<kPixels>(args, pixel, channel, lanes, start, requantize, multiplier);
    }
    for (; pixel < args.pixels; ++pixel) depthwise_tile<1>(args, pixel, channel, lanes, start, requantize, multiplier);
  });
}

}  // namespace octet::kernels
