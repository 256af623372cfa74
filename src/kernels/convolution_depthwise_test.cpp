#include <octet/kernels/convolution.h>

#include <limits>

#include "kernels/convolution_test_support.h"

namespace octet::kernels {
namespace {

using test::expect_exact_everywhere;
using test::for_each_isa;
using test::Problem;

ConvolutionGeometry depthwise(int64_t channels, int64_t kernel, int64_t stride, int64_t padding) {
  return {.in_channels = channels,
          .out_channels = channels,
          .groups = channels,
          .kernel = {1, kernel, kernel},
          .stride = {1, stride, stride},
          .padding = {0, padding, padding}};
}

/// Several output channels read each channel of the input.
ConvolutionGeometry multiplied(int64_t channels, int64_t times, int64_t kernel, int64_t stride) {
  ConvolutionGeometry g = depthwise(channels, kernel, stride, kernel / 2);
  g.out_channels = channels * times;
  return g;
}

TEST(DepthwiseConvolution, IsExactForEveryNumberOfChannels) {
  for (const int64_t channels : {1, 2, 7, 8, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 144, 160}) {
    for (const int64_t kernel : {3, 5}) {
      for (const int64_t stride : {1, 2}) {
        expect_exact_everywhere({.geometry = depthwise(channels, kernel, stride, kernel / 2), .size = {1, 5, 8}});
      }
    }
  }
}

TEST(DepthwiseConvolution, IsExactForEveryKernelAndStride) {
  for (int64_t kernel = 1; kernel <= 7; ++kernel) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const int64_t dilation : {1, 2}) {
        for (const int64_t channels : {12, 16, 32, 80}) {
          ConvolutionGeometry g = depthwise(channels, kernel, stride, kernel / 2);
          g.dilation = {1, dilation, dilation};
          const Spatial size{1, 11, 13};
          if (g.output_size(size)[1] < 1) continue;
          expect_exact_everywhere({.geometry = g, .size = size});
        }
      }
    }
  }
}

TEST(DepthwiseConvolution, IsExactWhereHeightAndWidthHaveDifferentStrides) {
  for (const int64_t kernel : {3, 5}) {
    for (const int64_t height : {1, 2, 3}) {
      for (const int64_t width : {1, 2, 3}) {
        ConvolutionGeometry g = depthwise(80, kernel, 1, kernel / 2);
        g.stride = {1, height, width};
        expect_exact_everywhere({.geometry = g, .size = {1, 9, 10}});
      }
    }
  }
}

TEST(DepthwiseConvolution, IsExactForEveryWidth) {
  for (int64_t width = 1; width <= 20; ++width) {
    for (const int64_t kernel : {3, 5, 7}) {
      for (const int64_t stride : {1, 2}) {
        for (const int64_t channels : {20, 96}) {
          expect_exact_everywhere({.geometry = depthwise(channels, kernel, stride, kernel / 2), .size = {1, 3, width}});
        }
      }
    }
  }
  // Rows in parts.
  for (const int64_t stride : {1, 2}) {
    expect_exact_everywhere({.geometry = depthwise(32, 3, stride, 1), .size = {1, 2, 150}});
    expect_exact_everywhere({.geometry = multiplied(16, 2, 3, stride), .size = {1, 2, 150}});
  }
  for (const int64_t channels : {16, 32, 48}) {
    for (const int64_t width : {33, 64, 65, 66, 67, 100}) {
      expect_exact_everywhere({.geometry = depthwise(channels, 3, 1, 1), .size = {1, 5, width}});
    }
  }
}

TEST(DepthwiseConvolution, IsExactForExtremeValues) {
  for (const test::Fill fill :
       {test::Fill::all_255_times_minus_128, test::Fill::all_0_times_127, test::Fill::all_255_times_127}) {
    for (const int64_t stride : {1, 2}) {
      for (const int32_t zero_point : {0, 255}) {
        expect_exact_everywhere(
            {.geometry = depthwise(48, 3, stride, 1), .size = {1, 6, 9}, .zero_point = zero_point, .fill = fill});
      }
    }
  }
}

TEST(DepthwiseConvolution, IsExactForTheSmallestScales) {
  for (const int64_t stride : {1, 2}) {
    Problem problem({.geometry = depthwise(96, 3, stride, 1), .size = {1, 6, 7}});
    for (int64_t channel = 0; channel < 96; ++channel) problem.weight_scale[channel] *= 1e-37f;
    const PackedConvolution packed(problem.weight.data(), problem.g);
    for_each_isa([&] { problem.expect_exact<uint8_t>(packed); });
  }
}

TEST(DepthwiseConvolution, IsExactForEveryPaddingAndHeight) {
  for (const int64_t kernel : {1, 3, 4, 5}) {
    for (int64_t padding = 0; padding <= 5; ++padding) {
      for (int64_t height = 1; height <= 6; ++height) {
        for (const int64_t stride : {1, 2}) {
          ConvolutionGeometry g = depthwise(32, kernel, stride, padding);
          const Spatial size{1, height, 9};
          g.padding[2] = 5 - padding;
          if (g.output_size(size)[1] < 1) continue;
          expect_exact_everywhere({.geometry = g, .batch = 2, .size = size});
        }
      }
    }
  }
}

TEST(DepthwiseConvolution, IsExactInOneAndThreeDimensions) {
  for (const int64_t stride : {1, 2}) {
    for (const int64_t channels : {16, 32, 96}) {
      for (const Spatial& kernel :
           {Spatial{1, 1, 3}, Spatial{1, 1, 31}, Spatial{1, 2, 3}, Spatial{3, 3, 3}, Spatial{2, 5, 5}, Spatial{3, 1, 4}}) {
        ConvolutionGeometry g = depthwise(channels, 1, stride, 0);
        g.kernel = kernel;
        g.stride[0] = stride;
        for (size_t i = 0; i < kernel.size(); ++i) g.padding[i] = kernel[i] / 2;
        expect_exact_everywhere({.geometry = g, .batch = 2, .size = {kernel[0] + 1, kernel[1] + 1, 12}});
      }
    }
  }
}

TEST(DepthwiseConvolution, IsExactForEveryKindOfQParams) {
  for (const int64_t stride : {1, 2}) {
    for (int flags = 0; flags < 32; ++flags) {
      expect_exact_everywhere({.geometry = depthwise(96, 3, stride, 1),
                               .size = {1, 5, 6},
                               .per_channel = (flags & 1) != 0,
                               .affine = (flags & 2) != 0,
                               .bias = (flags & 4) != 0,
                               .relu = (flags & 8) != 0,
                               .residual = (flags & 16) != 0});
    }
  }
}

TEST(DepthwiseConvolution, IsExactForEveryNumberOfOutputsThatReadAChannel) {
  for (const int64_t times : {2, 3, 4, 5, 7, 8, 9, 16, 21}) {
    for (const int64_t channels : {1, 2, 7, 24}) {
      for (const int64_t stride : {1, 2}) {
        const ConvolutionGeometry g = multiplied(channels, times, 3, stride);
        expect_exact_everywhere({.geometry = g, .size = {1, 9, 6}});
        expect_exact_everywhere({.geometry = g, .size = {1, 6, 5}, .affine = true, .residual = stride == 2});
      }
    }
  }
}

TEST(DepthwiseConvolution, IsExactForSeveralOutputsOfAChannelInEveryGeometry) {
  for (const Spatial& kernel : {Spatial{1, 1, 1}, Spatial{1, 5, 5}, Spatial{1, 4, 7}, Spatial{1, 1, 9}, Spatial{3, 2, 3}}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const bool transposed : {false, true}) {
        for (const bool affine : {false, true}) {
          ConvolutionGeometry g = multiplied(17, 2, 1, stride);
          g.kernel = kernel;
          g.transposed = transposed;
          g.dilation = {1, stride == 2 ? 2 : 1, stride == 1 ? 2 : 1};
          for (size_t i = 0; i < kernel.size(); ++i) g.padding[i] = kernel[i] / 2;
          expect_exact_everywhere({.geometry = g, .batch = 2, .size = {kernel[0] + 1, 9, 11}, .affine = affine});
        }
      }
    }
  }
}

template <class Quantized>
void expect_clamped(const Problem& problem, const AffineQParams& out_qparams) {
  std::vector<Quantized> expected;
  for (int64_t i = 0; i < static_cast<int64_t>(problem.sums.size()); ++i) {
    const int64_t channel = i % problem.g.out_channels;
    expected.push_back(static_cast<Quantized>(reference::requantize(problem.sums[i], problem.scale, problem.weight_scale[channel],
                                                                    problem.bias[channel], {}, false, out_qparams)));
  }
  const PackedConvolution packed(problem.weight.data(), problem.g);
  for_each_isa([&] {
    std::vector<Quantized> out(expected.size());
    convolution(problem.input(), packed, problem.weight_qparams(), problem.epilogue(), out_qparams, out.data());
    ASSERT_EQ(out, expected);
  });
}

TEST(DepthwiseConvolution, ClampsToAnyRange) {
  for (const int64_t stride : {1, 2}) {
    Problem problem({.geometry = depthwise(96, 3, stride, 1), .size = {1, 6, 7}});
    // Sums beyond 8 and 16 bits, too.
    for (const float magnitude : {1.0f, 30.0f, 3e3f, 3e6f}) {
      const float scale = problem.out_scale / magnitude;
      expect_clamped<uint8_t>(problem, {scale, 100, 20, 127});
      expect_clamped<uint8_t>(problem, {scale, 0, 0, 255});
      expect_clamped<uint8_t>(problem, {scale, 255, 0, 255});
      expect_clamped<uint8_t>(problem, {scale, 200, 130, 250});
      expect_clamped<int8_t>(problem, {scale, -128, -128, 127});
      expect_clamped<int8_t>(problem, {scale, -3, -50, 60});
      expect_clamped<int8_t>(problem, {scale, 127, 5, 127});
    }
  }
}

TEST(DepthwiseConvolution, ClampsWhatDoesNotFitAnInteger) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  for (const int64_t stride : {1, 2}) {
    for (const bool relu : {false, true}) {
      Problem problem({.geometry = depthwise(96, 5, stride, 2), .size = {1, 6, 7}, .relu = relu});
      for (int64_t channel = 0; channel < 96; channel += 3) {
        problem.weight_scale[channel] *= 1e9f;
        problem.bias[channel] = channel % 2 ? 1e30f : -1e30f;
        problem.bias[channel + 1] = channel % 4 == 0 ? kNan : channel % 4 == 1 ? kInfinity : -kInfinity;
      }
      const PackedConvolution packed(problem.weight.data(), problem.g);
      for_each_isa([&] {
        problem.expect_exact<uint8_t>(packed);
        problem.expect_exact<int8_t>(packed);
      });
    }
  }
}

TEST(DepthwiseConvolution, DoesNotDependOnThreads) {
  for (const int64_t stride : {1, 2}) {
    for (const int64_t kernel : {3, 5}) {
      // Planes of an odd number of rows, and rows in parts.
      for (const Spatial& size : {Spatial{1, 41, 23}, Spatial{1, 3, 140}}) {
        for (const int64_t times : {1, 3}) {
          const ConvolutionGeometry g = multiplied(96 / times, times, kernel, stride);
          const Problem problem({.geometry = g, .batch = 3, .size = size});
          const PackedConvolution packed(problem.weight.data(), problem.g);
          for_each_isa([&] { problem.expect_exact<uint8_t>(packed, test::three_threads_for); });
        }
      }
    }
  }
}

}  // namespace
}  // namespace octet::kernels
