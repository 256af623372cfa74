#pragma once

#include <octet/kernels/parallel.h>

#include <cstdint>

namespace octet::kernels {

/// The most channels that channels_last() takes.
constexpr int64_t kMostPlanes = 4;

/// `out[image][pixel][channel] = planes[image][channel][pixel]`: images of few channels, as networks take them, in the order that
/// convolutions read.
/// @throws std::invalid_argument for channels that are not 1 .. kMostPlanes
void channels_last(const uint8_t* planes, int64_t images, int64_t channels, int64_t pixels, uint8_t* out,
                   ParallelFor parallel_for = serial_for);

}  // namespace octet::kernels
