// What pooling and interpolation share: images of up to three dimensions.
#pragma once

#include <octet/tensor/parallel.h>

#include <tensor/integers.h>
#include <tensor/op_call.h>

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace octet {

/// Depth, height and width; those that an image lacks are 1.
using ImageSizes = std::array<int64_t, 3>;

inline ImageSizes image_sizes(at::IntArrayRef sizes, size_t spatial) {
  ImageSizes image{1, 1, 1};
  std::copy_n(sizes.end() - spatial, spatial, image.end() - spatial);
  return image;
}

/// The sizes of the call's result. They and all checks of its arguments are ATen's own: of the op on a tensor without data.
inline std::vector<int64_t> result_sizes(OpCall& call) {
  return call.try_with(at::empty(call.integers().sizes(), at::TensorOptions(at::kFloat).device(at::kMeta))).sizes().vec();
}

/// The mean of each image of 8-bit integers, of [batch, channels] and two or three dimensions, which become 1: each sum is
/// divided and rounded once, halves to the even integer. At most kernels::kMaxAverageSize elements an image.
at::Tensor means_of_images(OpCall& call);

/// Answers with a tensor of out_sizes in the memory format of the argument, each of its images made by
/// compute.template operator()<T>(const T* from, T* to) of one image of the argument. The threads share the images.
template <class Compute>
void answer_images(OpCall& call, const ImageSizes& image, const std::vector<int64_t>& out_sizes, const Compute& compute) {
  constexpr int64_t kGrainSize = 1 << 12;  // elements that are worth a thread
  const at::Tensor in = call.integers().contiguous();
  const at::Tensor out = at::empty(out_sizes, in.options());
  const int64_t in_numel = image[0] * image[1] * image[2];
  const int64_t images = in_numel == 0 ? 0 : in.numel() / in_numel;
  with_integer_type(call.quantizer().dtype, [&]<class T>() {
    const auto* from = in.const_data_ptr<T>();
    auto* to = out.mutable_data_ptr<T>();
    parallel_for(0, images, std::max<int64_t>(1, kGrainSize / std::max<int64_t>(in_numel, 1)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) compute(from + i * in_numel, to + i * (out.numel() / images));
    });
  });
  call.answer_integers(out.contiguous(call.integers().suggest_memory_format()));
}

}  // namespace octet
