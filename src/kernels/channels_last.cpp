#include <octet/kernels/channels_last.h>

#include <bit>
#include <cstring>

#include "kernels/check.h"
#include "kernels/work.h"

namespace octet::kernels {
namespace {

/// The pixels [begin, end) of an image.
template <int kChannels>
void interleave(const uint8_t* planes, int64_t pixels, int64_t begin, int64_t end, uint8_t* out) {
  const auto pixel = [&](int64_t at) {
    uint8_t bytes[4] = {};
    for (int c = 0; c < kChannels; ++c) bytes[c] = planes[c * pixels + at];
    return std::bit_cast<uint32_t>(bytes);
  };
  int64_t at = begin;
  for (; at + 4 <= end; ++at) {
    // A word at once: what is beyond the pixel is overwritten by the next one.
    const uint32_t word = pixel(at);
    std::memcpy(out + at * kChannels, &word, sizeof(word));
  }
  for (; at < end; ++at) {
    const uint32_t word = pixel(at);
    std::memcpy(out + at * kChannels, &word, kChannels);
  }
}

}  // namespace

void channels_last(const uint8_t* planes, int64_t images, int64_t channels, int64_t pixels, uint8_t* out,
                   ParallelFor parallel_for) {
  constexpr decltype(&interleave<1>) kInterleave[kMostPlanes] = {interleave<1>, interleave<2>, interleave<3>, interleave<4>};
  check(1 <= channels && channels <= kMostPlanes, "channels_last: takes 1 to ", kMostPlanes, " channels, got ", channels);
  for (int64_t image = 0; image < images; ++image) {
    const int64_t first = image * channels * pixels;
    parallel_for(0, pixels, kElementsPerTask, [&](int64_t begin, int64_t end) {
      kInterleave[channels - 1](planes + first, pixels, begin, end, out + first);
    });
  }
}

}  // namespace octet::kernels
