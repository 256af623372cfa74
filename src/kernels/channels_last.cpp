#include <octet/kernels/channels_last.h>

#include "kernels/check.h"
#include "kernels/kernel_table.h"
#include "kernels/work.h"

namespace octet::kernels {

void channels_last(const uint8_t* planes, int64_t images, int64_t channels, int64_t pixels, uint8_t* out,
                   ParallelFor parallel_for) {
  check(1 <= channels && channels <= kMostPlanes, "channels_last: takes 1 to ", kMostPlanes, " channels, got ", channels);
  const auto interleave = kernels().interleave_planes[channels - 1];
  for (int64_t image = 0; image < images; ++image) {
    const int64_t first = image * channels * pixels;
    parallel_for(0, pixels, kElementsPerTask,
                 [&](int64_t begin, int64_t end) { interleave(planes + first, pixels, begin, end, out + first); });
  }
}

}  // namespace octet::kernels
