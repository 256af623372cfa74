#include <octet/kernels/channels_last.h>

#include "kernels/test_support.h"

namespace octet::kernels {
namespace {

TEST(ChannelsLast, LaysTheChannelsOfAPixelSideBySide) {
  test::Random random(1);
  for (int64_t channels = 1; channels <= kMostPlanes; ++channels) {
    for (const int64_t pixels : {0, 1, 2, 3, 4, 5, 7, 31, 32, 33, 1000}) {
      constexpr int64_t kImages = 3;
      const std::vector<uint8_t> planes = test::random_integers<uint8_t>(random, kImages * channels * pixels, 0, 255);
      const test::GuardedArray<uint8_t> from(kImages * channels * pixels), out(kImages * channels * pixels);
      std::copy(planes.begin(), planes.end(), from.data());
      std::vector<uint8_t> expected;
      for (int64_t image = 0; image < kImages; ++image) {
        for (int64_t pixel = 0; pixel < pixels; ++pixel) {
          for (int64_t channel = 0; channel < channels; ++channel) {
            expected.push_back(planes[(image * channels + channel) * pixels + pixel]);
          }
        }
      }
      test::for_each_isa([&] {
        std::fill_n(out.data(), expected.size(), uint8_t{0});
        channels_last(from.data(), kImages, channels, pixels, out.data());
        ASSERT_EQ(out.values(), expected) << channels << " channels, " << pixels << " pixels";
      });
    }
  }
}

TEST(ChannelsLast, DoesNotDependOnHowThreadsCutTheWork) {
  test::Random random(2);
  const std::vector<uint8_t> planes = test::random_integers<uint8_t>(random, 3 * 1000, 0, 255);
  std::vector<uint8_t> whole(planes.size()), parts(planes.size());
  channels_last(planes.data(), 1, 3, 1000, whole.data());
  const auto cut = [](int64_t begin, int64_t end, int64_t, RangeBody body) {
    for (int64_t from = begin; from < end; from += 7) body(from, std::min(from + 7, end));
  };
  channels_last(planes.data(), 1, 3, 1000, parts.data(), cut);
  EXPECT_EQ(parts, whole);
}

TEST(ChannelsLast, NamesWhatItDoesNotTake) {
  EXPECT_EQ(test::error_of([] { channels_last(nullptr, 1, 5, 1, nullptr); }), "channels_last: takes 1 to 4 channels, got 5");
}

}  // namespace
}  // namespace octet::kernels
