// Linear, bilinear and trilinear upsampling: float32 weights on the integers, in one written order, rounded once:
//   q = round((w0 * plane0 + w1 * plane1 - zero_point) + zero_point), halves to even,
// where each plane is made of two rows, and each row of two elements, in the same way. For bilinear it is ATen's formula (of
// contiguous tensors; for channels last it has another order of additions).
#include <tensor/image.h>
#include <tensor/op_table.h>

#include <cmath>
#include <limits>
#include <optional>

namespace octet {
namespace {

// The two input indices that one output index lies between, and their weights.
struct Tap {
  int64_t low;
  int64_t high;
  float low_weight;
  float high_weight;
};
using Taps = std::vector<Tap>;

Taps linear_taps(int64_t in, int64_t out, bool align_corners, std::optional<double> scale_factor) {
  float step = static_cast<float>(in) / static_cast<float>(out);
  if (scale_factor && *scale_factor > 0) step = static_cast<float>(1.0 / *scale_factor);
  if (align_corners) step = out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1) : 0.0F;
  Taps taps;
  for (int64_t i = 0; i < out; ++i) {
    const auto index = static_cast<float>(i);
    const float source = align_corners ? step * index : std::max(step * (index + 0.5F) - 0.5F, 0.0F);
    const int64_t low = std::min(static_cast<int64_t>(source), in - 1);
    const float high_weight = source - static_cast<float>(low);
    taps.push_back({low, std::min(low + 1, in - 1), 1.0F - high_weight, high_weight});
  }
  return taps;
}

template <class T>
class Interpolation {
 public:
  Interpolation(const Quantizer& quantizer, const std::array<Taps, 3>& taps, ImageSizes image)
      : quantizer_(quantizer), taps_(taps), image_(image) {}

  void interpolate_image(const T* from, T* to) const {
    for (const Tap& depth : taps_[0]) {
      for (const Tap& height : taps_[1]) {
        for (const Tap& width : taps_[2]) *to++ = interpolate(from, depth, height, width);
      }
    }
  }

 private:
  T interpolate(const T* from, const Tap& depth, const Tap& height, const Tap& width) const {
    const auto between = [](const Tap& tap, const auto& at) {
      return tap.low_weight * at(tap.low) + tap.high_weight * at(tap.high);
    };
    const float value = between(depth, [&](int64_t d) {
      return between(height, [&](int64_t h) {
        const T* row = from + (d * image_[1] + h) * image_[2];
        return between(width, [&](int64_t w) { return static_cast<float>(row[w]); });
      });
    });
    constexpr auto kLimits = std::numeric_limits<T>();  // reached where the weights add up to more than 1 by a rounding
    const auto zero_point = static_cast<float>(quantizer_.zero_point);
    const auto q = static_cast<double>(std::nearbyint((value - zero_point) + zero_point));
    return static_cast<T>(std::clamp(q, static_cast<double>(kLimits.lowest()), static_cast<double>(kLimits.max())));
  }

  const Quantizer& quantizer_;
  const std::array<Taps, 3>& taps_;
  ImageSizes image_;
};

// The arguments after align_corners are the scale factors of the op's dimensions, each optional.
template <size_t spatial>
void upsample_linear(OpCall& call) {
  const auto sizes = result_sizes(call);
  const auto in = image_sizes(call.integers().sizes(), spatial);
  const auto out = image_sizes(sizes, spatial);
  const bool align_corners = call.argument("align_corners").toBool();
  std::array<Taps, 3> taps;
  for (size_t d = 0; d < 3; ++d) {
    const size_t first = 3 - spatial;  // the dimensions before it are 1
    const auto factor = d < first ? std::nullopt : call[call.size() - spatial + (d - first)].toOptional<double>();
    taps[d] = linear_taps(in[d], out[d], align_corners, factor);
  }
  answer_images(call, in, sizes,
                [&]<class T>(const T* from, T* to) { Interpolation<T>(call.quantizer(), taps, in).interpolate_image(from, to); });
}

}  // namespace

std::span<const OpRow> interpolation_ops() {
  static constexpr OpRow kRows[] = {
      {"upsample_linear1d", upsample_linear<1>},
      {"upsample_bilinear2d", upsample_linear<2>},
      {"upsample_trilinear3d", upsample_linear<3>},
  };
  return kRows;
}

}  // namespace octet
