#pragma once

#include "kernels/kernel_table.h"

// Each row of outputs is made in two steps: its input rows (over the windows' depth and height) become one, value by value, and
// then the pixels of each window in that row become an output. All are plain loops over values that lie side by side, of which
// compilers make vectors of the ISA; Simd only tells the ISAs apart.

namespace octet::kernels {

constexpr int64_t kPoolBlock = 256;  ///< values that are finished before the next: they stay in the first-level cache

/// Not inlined: GCC would unroll the loop around it, over rows or pixels, and leave this one scalar.
template <class Simd, class T>
[[gnu::noinline]] void add_up(const T* __restrict x, int64_t n, int32_t* __restrict sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] += x[i];
}

template <class Simd>
float rounded(float x) {
  return __builtin_nearbyintf(x);
}

template <class Simd>
double rounded(double x) {
  return __builtin_nearbyint(x);
}

/// What the sums of a window become. The quotient is rounded as a Real, which is exact: one that is not a half is at least
/// 1 / (2 divisor) away from one, more than a Real rounds by, and those of 2^9 and more are clamped.
template <class Simd, class Real, class T>
void finish_averages(const int32_t* __restrict sums, int64_t n, int64_t count, int64_t divisor, const PoolRow<T>& args,
                     T* __restrict out) {
  const auto low = static_cast<Real>(args.lowest), high = static_cast<Real>(args.highest);
  const auto offset = static_cast<Real>(args.zero_point) * static_cast<Real>(divisor - count);
  const auto real_divisor = static_cast<Real>(divisor);
  for (int64_t i = 0; i < n; ++i) {
    const Real quotient = (static_cast<Real>(sums[i]) + offset) / real_divisor;
    const Real raised = quotient > low ? quotient : low;
    out[i] = static_cast<T>(static_cast<int32_t>(rounded<Simd>(raised < high ? raised : high)));
  }
}

template <class Simd, class T>
void finish_averages(const int32_t* sums, int64_t n, int64_t count, int64_t divisor, const PoolRow<T>& args, T* out) {
  constexpr int64_t kExactInFloat = 1 << 14;  // then 255 * (count + divisor) < 2^24
  if (count <= kExactInFloat && -kExactInFloat <= divisor && divisor <= kExactInFloat) {
    finish_averages<Simd, float>(sums, n, count, divisor, args, out);
  } else {
    finish_averages<Simd, double>(sums, n, count, divisor, args, out);
  }
}

template <class Simd, class T, class Value>
void average_windows(const Value* row, const PoolRow<T> args, T* out) {
  for (int64_t output = 0; output < args.outputs; ++output, out += args.channels) {
    const PoolWindow window = args.windows[output];
    const int64_t count = window.end > window.begin ? args.row_count * (window.end - window.begin) : 0;
    const int64_t divisor = count ? args.divisor * window.divisor : 1;
    if (args.channels == 1) {
      int32_t sum = 0;
      for (int64_t w = window.begin; w < window.end; ++w) sum += row[w];
      finish_averages<Simd>(&sum, 1, count, divisor, args, out);
      continue;
    }
    for (int64_t first = 0; first < args.channels; first += kPoolBlock) {
      const int64_t n = args.channels - first < kPoolBlock ? args.channels - first : kPoolBlock;
      int32_t sums[kPoolBlock];
      for (int64_t c = 0; c < n; ++c) sums[c] = 0;
      for (int64_t w = window.begin; w < window.end; ++w) add_up<Simd>(row + w * args.channels + first, n, sums);
      finish_averages<Simd>(sums, n, count, divisor, args, out + first);
    }
  }
}

template <class Simd, class T>
void average_pool_row(const PoolRow<T>& args, int32_t* scratch, T* out) {
  if (args.row_count == 1) return average_windows<Simd>(args.rows[0], args, out);
  const int64_t total = args.width * args.channels;
  for (int64_t first = 0; first < total; first += kPoolBlock) {
    const int64_t n = total - first < kPoolBlock ? total - first : kPoolBlock;
    for (int64_t i = 0; i < n; ++i) scratch[first + i] = 0;
    for (int64_t r = 0; r < args.row_count; ++r) add_up<Simd>(args.rows[r] + first, n, scratch + first);
  }
  average_windows<Simd>(static_cast<const int32_t*>(scratch), args, out);
}

/// kChannels is 1 or, for any number of them, 0.
template <class Simd, int64_t kChannels, class T>
void max_windows(const T* __restrict row, const PoolRow<T>& args, T* __restrict out) {
  const int64_t channels = kChannels ? kChannels : args.channels;
  for (int64_t output = 0; output < args.outputs; ++output, out += channels) {
    const PoolWindow window = args.windows[output];
    for (int64_t c = 0; c < channels; ++c) out[c] = args.lowest;
    for (int64_t w = window.begin; w < window.end; w += window.step) {
      const T* __restrict pixel = row + w * channels;
      for (int64_t c = 0; c < channels; ++c) out[c] = pixel[c] > out[c] ? pixel[c] : out[c];
    }
  }
}

template <class Simd, class T>
void max_pool_row(const PoolRow<T>& args, T* __restrict scratch, T* out) {
  const T* row = args.rows[0];
  if (args.row_count > 1) {
    const int64_t total = args.width * args.channels;
    for (int64_t first = 0; first < total; first += kPoolBlock) {
      const int64_t end = total - first < kPoolBlock ? total : first + kPoolBlock;
      for (int64_t i = first; i < end; ++i) scratch[i] = row[i];
      for (int64_t r = 1; r < args.row_count; ++r) {
        const T* __restrict other = args.rows[r];
        for (int64_t i = first; i < end; ++i) scratch[i] = other[i] > scratch[i] ? other[i] : scratch[i];
      }
    }
    row = scratch;
  }
  const auto finish = args.channels == 1 ? max_windows<Simd, 1, T> : max_windows<Simd, 0, T>;
  finish(row, args, out);
}

}  // namespace octet::kernels
