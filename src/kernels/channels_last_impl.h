#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

namespace octet::kernels {

/// Lays the planes of 16 pixels side by side, in vectors of 16 bytes.
template <class Simd, int kChannels>
struct PixelVectors {
  static constexpr int kPixels = 16;
  using Bytes [[gnu::vector_size(kPixels)]] = uint8_t;
  using AllBytes = std::make_integer_sequence<int, kPixels>;

  static void store(const uint8_t* planes, int64_t plane_stride, uint8_t* out) {
    Bytes pixels[kChannels] = {};
    put_planes(planes, plane_stride, pixels, std::make_integer_sequence<int, kChannels>{});
    std::memcpy(out, pixels, sizeof(pixels));
  }

 private:
  template <int... kAll>
  static void put_planes(const uint8_t* planes, int64_t plane_stride, Bytes (&pixels)[kChannels],
                         std::integer_sequence<int, kAll...> all) {
    (put_plane<kAll>(planes + kAll * plane_stride, pixels, all), ...);
  }
  template <int kChannel, int... kVectors>
  static void put_plane(const uint8_t* from, Bytes (&pixels)[kChannels], std::integer_sequence<int, kVectors...>) {
    Bytes plane;
    std::memcpy(&plane, from, sizeof(plane));
    ((pixels[kVectors] = put<kChannel, kVectors>(pixels[kVectors], plane, AllBytes{})), ...);
  }
  /// Replaces the bytes of the channel in one of the vectors.
  template <int kChannel, int kVector, int... kBytes>
  static Bytes put(Bytes pixels, Bytes plane, std::integer_sequence<int, kBytes...>) {
    constexpr int kFirst = kVector * kPixels;
    return __builtin_shufflevector(
        pixels, plane, ((kFirst + kBytes) % kChannels == kChannel ? kPixels + (kFirst + kBytes) / kChannels : kBytes)...);
  }
};

/// The pixels [begin, end) of an image: `out[pixel][channel] = planes[channel][pixel]`.
template <class Simd, int kChannels>
void interleave_planes(const uint8_t* planes, int64_t pixels, int64_t begin, int64_t end, uint8_t* out) {
  int64_t at = begin;
  if constexpr (Simd::kLanes > 1) {
    using Vectors = PixelVectors<Simd, kChannels>;
    for (; at + Vectors::kPixels <= end; at += Vectors::kPixels) Vectors::store(planes + at, pixels, out + at * kChannels);
  }
  for (; at < end; ++at) {
    for (int c = 0; c < kChannels; ++c) out[at * kChannels + c] = planes[c * pixels + at];
  }
}

}  // namespace octet::kernels
