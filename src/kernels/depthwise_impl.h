#pragma once

#include "kernels/gemm_finish_impl.h"
#include "kernels/kernel_table.h"

namespace octet::kernels {

/// @tparam kPairs  how many pairs of taps there are, or 0 for any number: known numbers keep the weights in registers
template <class Simd, int64_t kPairs>
void depthwise_pairs(const DepthwiseArgs& args) {
  const int64_t pairs = kPairs ? kPairs : args.pairs;
  for_each_vector<Simd>(args.channels, [&](int64_t channel, auto lanes) {
    const Requantizer<Simd, decltype(lanes)> requantize(args.to, args.column_terms, channel, lanes);
    const auto weight_sum = Simd::load(args.column_terms.weight_sum + channel, lanes);
    const auto start = Simd::sub(Simd::set(0), Simd::mul(Simd::set(args.zero_point), weight_sum));
    for (int64_t pixel = 0; pixel < args.pixels; ++pixel) {
      const int64_t offset = pixel * args.pixel_step + channel;
      auto sums = start;
#pragma GCC unroll 8
      for (int64_t pair = 0; pair < pairs; ++pair) {
        const auto inputs = Simd::load_pairs(args.taps[2 * pair] + offset, args.taps[2 * pair + 1] + offset, lanes);
        const auto weights = Simd::load_pairs(args.weight + (pair * args.channels + channel) * 2, lanes);
        sums = Simd::add(sums, Simd::dot_pairs(inputs, weights));
      }
      requantize(pixel, args.scale, sums);
    }
  });
}

template <class Simd>
void depthwise(const DepthwiseArgs& args) {
  constexpr int64_t kPairsOf3x3 = 5;
  args.pairs == kPairsOf3x3 ? depthwise_pairs<Simd, kPairsOf3x3>(args) : depthwise_pairs<Simd, 0>(args);
}

}  // namespace octet::kernels
