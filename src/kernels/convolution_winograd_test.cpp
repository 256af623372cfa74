#include "kernels/convolution_winograd.h"

#include <octet/kernels/convolution_algorithm.h>

#include <set>

#include "kernels/convolution_test_support.h"

namespace octet::kernels {
namespace {

using test::Fill;
using test::for_each_isa;
using test::Options;
using test::Problem;

constexpr ConvolutionAlgorithm kAlgorithms[] = {ConvolutionAlgorithm::winograd_2x2, ConvolutionAlgorithm::winograd_4x4};

ConvolutionGeometry three_by_three(int64_t in, int64_t out, int64_t padding = 1, int64_t groups = 1) {
  return {.in_channels = in, .out_channels = out, .groups = groups, .kernel = {1, 3, 3}, .padding = {0, padding, padding}};
}

/// The same with so many taps along the depth.
ConvolutionGeometry with_depth(ConvolutionGeometry geometry, int64_t taps, int64_t padding, int64_t stride = 1,
                               int64_t dilation = 1) {
  geometry.kernel[0] = taps;
  geometry.padding[0] = padding;
  geometry.stride[0] = stride;
  geometry.dilation[0] = dilation;
  return geometry;
}

/// The problem by each of the two, on each ISA that has them.
void expect_exact_by_winograd(const Options& options, ParallelFor parallel_for = serial_for) {
  const Problem problem(options);
  const PackedConvolution packed(problem.weight.data(), options.geometry);
  for_each_isa([&] {
    if (!kernels().winograd) return;
    for (const ConvolutionAlgorithm algorithm : kAlgorithms) {
      const ScopedConvolutionAlgorithm forced(algorithm);
      ASSERT_EQ(convolution_algorithm(problem.input(), packed, options.affine), algorithm) << problem.describe();
      problem.expect_exact<uint8_t>(packed, parallel_for);
      problem.expect_exact<int8_t>(packed, parallel_for);
    }
  });
}

TEST(Winograd, IsExactForEveryNumberOfChannels) {
  for (const int64_t in : {16, 20, 32, 36, 60, 64, 68, 96, 100, 124, 128, 132, 196}) {
    for (const int64_t out : {1, 16, 17, 40}) {
      expect_exact_by_winograd(
          {.geometry = three_by_three(in, out), .size = {1, 5, 6}, .relu = out == 16, .residual = in % 3 == 0});
    }
  }
}

TEST(Winograd, IsExactForEverySizeAndPadding) {
  for (int64_t height = 1; height <= 9; ++height) {
    for (int64_t width = 1; width <= 9; ++width) {
      for (const int64_t padding : {0, 1, 2, 4}) {
        const ConvolutionGeometry g = three_by_three(16, 18, padding);
        const Spatial size{1, height, width}, out_size = g.output_size(size);
        if (out_size[1] < 1 || out_size[2] < 1) continue;
        expect_exact_by_winograd({.geometry = g, .batch = 2, .size = size, .residual = true});
      }
    }
  }
}

TEST(Winograd, IsExactForRowsOfManyTilesAndManyPlanes) {
  // A row of tiles that is requantized in parts, and blocks of tiles that end within a row.
  expect_exact_by_winograd({.geometry = three_by_three(16, 17), .size = {1, 6, 131}});
  expect_exact_by_winograd({.geometry = three_by_three(128, 17), .batch = 3, .size = {1, 17, 19}});
  // Each plane of a volume, for a kernel of one plane.
  expect_exact_by_winograd({.geometry = three_by_three(16, 20), .batch = 2, .size = {3, 6, 7}});
}

TEST(Winograd, IsExactForGroups) {
  for (const int64_t groups : {2, 3}) {
    for (const int64_t in : {16, 40, 72}) {
      expect_exact_by_winograd({.geometry = three_by_three(groups * in, groups * 20, 1, groups),
                                .batch = 2,
                                .size = {1, 6, 7},
                                .per_channel = in == 40});
    }
  }
}

TEST(Winograd, IsExactForGroupsWhoseOutputsShareAPanel) {
  for (const int64_t channels : {4, 8}) {
    expect_exact_by_winograd({.geometry = three_by_three(8 * channels, 8 * channels, 1, 8), .batch = 2, .size = {1, 6, 7}});
  }
}

TEST(Winograd, IsExactForEveryKernelDepth) {
  for (const int64_t taps : {1, 2, 3, 5}) {
    for (const int64_t padding : {0, 1, 3}) {
      for (const int64_t stride : {1, 2, 3}) {
        for (const int64_t dilation : {1, 2, 4}) {
          const ConvolutionGeometry g = with_depth(three_by_three(16, 18), taps, padding, stride, dilation);
          const Spatial size{7, 5, 6};
          if (g.output_size(size)[0] < 1) continue;
          expect_exact_by_winograd({.geometry = g, .batch = 2, .size = size, .residual = true});
        }
      }
    }
  }
}

TEST(Winograd, IsExactForVolumesOfEveryDepth) {
  // From planes that all have padding before and behind them to more than a block has.
  for (const int64_t depth : {1, 2, 3, 4, 9, 50, 101}) {
    expect_exact_by_winograd({.geometry = with_depth(three_by_three(16, 17), 3, 1), .size = {depth, 3, 4}});
  }
  // Blocks of a few planes and of some tiles, which end within an image.
  expect_exact_by_winograd({.geometry = with_depth(three_by_three(128, 17), 3, 1), .batch = 2, .size = {7, 9, 11}});
}

TEST(Winograd, IsExactForEveryNumberOfChannelsOfVolumes) {
  for (const int64_t in : {16, 20, 60, 68, 132}) {
    for (const int64_t groups : {1, 2}) {
      expect_exact_by_winograd({.geometry = with_depth(three_by_three(groups * in, groups * 20, 1, groups), 3, 1),
                                .size = {3, 5, 6},
                                .per_channel = in == 60,
                                .relu = in == 20});
    }
  }
}

TEST(Winograd, IsExactForExtremeActivationsAndWeights) {
  for (const Fill fill : {Fill::all_255_times_127, Fill::all_255_times_minus_128, Fill::all_0_times_127}) {
    for (const int32_t zero_point : {0, 255}) {
      expect_exact_by_winograd({.geometry = three_by_three(108, 17), .size = {1, 7, 9}, .zero_point = zero_point, .fill = fill});
      // Of 36 channels three depth taps have one sum, of 108 they have one each.
      for (const int64_t in : {36, 108}) {
        expect_exact_by_winograd(
            {.geometry = with_depth(three_by_three(in, 17), 3, 1), .size = {4, 7, 9}, .zero_point = zero_point, .fill = fill});
      }
    }
  }
}

TEST(Winograd, DoesNotDependOnThreads) {
  expect_exact_by_winograd({.geometry = three_by_three(64, 40), .batch = 3, .size = {1, 25, 21}, .residual = true},
                           test::three_threads_for);
  expect_exact_by_winograd({.geometry = with_depth(three_by_three(64, 40), 3, 1), .batch = 2, .size = {6, 13, 9}},
                           test::three_threads_for);
}

/// What would be taken if it were asked for.
ConvolutionAlgorithm forced(ConvolutionAlgorithm algorithm, const std::vector<int8_t>& weight, const ConvolutionGeometry& g,
                            bool affine = false) {
  const ScopedConvolutionAlgorithm scoped(algorithm);
  return convolution_algorithm({.batch = 1, .size = {1, 56, 56}}, PackedConvolution(weight.data(), g), affine);
}

TEST(Winograd, IsRefusedWhereItsSumsMayNotFit) {
  // 64 times a sum must fit int32 for 4x4: 255 * 127 * 9 channels * 64 < 2^31 up to 115 channels.
  for_each_isa([] {
    if (!kernels().winograd) return;
    for (const int64_t in : {112, 116}) {
      for (const int8_t value : {127, -127}) {
        const std::vector<int8_t> weight(in * 9, value);
        const ConvolutionAlgorithm expected = in == 112 ? ConvolutionAlgorithm::winograd_4x4 : ConvolutionAlgorithm::gemm;
        EXPECT_EQ(forced(ConvolutionAlgorithm::winograd_4x4, weight, three_by_three(in, 1)), expected);
        EXPECT_EQ(forced(ConvolutionAlgorithm::winograd_2x2, weight, three_by_three(in, 1)), ConvolutionAlgorithm::winograd_2x2);
      }
    }
    // Of several planes each is a sum of its own: the worst counts.
    std::vector<int8_t> planes(116 * 27, 1);
    const ConvolutionGeometry deep = with_depth(three_by_three(116, 1), 3, 1);
    std::fill_n(planes.begin() + 116 * 9, 112 * 9, int8_t{127});
    EXPECT_EQ(forced(ConvolutionAlgorithm::winograd_4x4, planes, deep), ConvolutionAlgorithm::winograd_4x4);
    std::fill_n(planes.begin() + 116 * 9, 116 * 9, int8_t{127});
    EXPECT_EQ(forced(ConvolutionAlgorithm::winograd_4x4, planes, deep), ConvolutionAlgorithm::gemm);
    // Only the larger of the positive and the negative part of a channel counts, and of all channels the worst.
    std::vector<int8_t> balanced(200 * 9 * 2, 127);
    for (size_t i = 0; i < balanced.size(); i += 2) balanced[i] = -127;
    EXPECT_EQ(forced(ConvolutionAlgorithm::winograd_4x4, balanced, three_by_three(200, 2)), ConvolutionAlgorithm::winograd_4x4);
    std::fill(balanced.begin() + 200 * 9, balanced.end(), int8_t{127});
    EXPECT_EQ(forced(ConvolutionAlgorithm::winograd_4x4, balanced, three_by_three(200, 2)), ConvolutionAlgorithm::gemm);
  });
}

TEST(Winograd, IsRefusedForOtherConvolutions) {
  const std::vector<int8_t> weight(64 * 64 * 27, 1);
  std::vector<ConvolutionGeometry> others(9, three_by_three(64, 64));
  others[0].stride = {1, 2, 1};
  others[1].dilation = {1, 1, 2};
  others[2].kernel = {1, 3, 1};
  others[3].kernel = {3, 3, 1};
  others[4].transposed = true;
  others[5].kernel = {1, 3, 5};
  others[6].in_channels = 62;
  others[7].in_channels = 12;
  others[8].dilation = {1, 2, 1};
  for_each_isa([&] {
    for (const ConvolutionAlgorithm algorithm : kAlgorithms) {
      for (const ConvolutionGeometry& g : others) EXPECT_EQ(forced(algorithm, weight, g), ConvolutionAlgorithm::gemm);
      EXPECT_EQ(forced(algorithm, weight, three_by_three(64, 64), /*affine=*/true), ConvolutionAlgorithm::gemm);
    }
  });
}

TEST(ConvolutionAlgorithm, IsTheFastestByItsEstimate) {
  const std::vector<int8_t> weight(64 * 64 * 27, 1);
  std::set<std::string_view> names;
  for (const int64_t taps : {1, 3}) {
    const PackedConvolution packed(weight.data(), with_depth(three_by_three(64, 64), taps, taps / 2));
    for_each_isa([&] {
      const auto of = [&](int64_t size) {
        return convolution_algorithm({.batch = 1, .size = {taps, size, size}}, packed, false);
      };
      const ConvolutionAlgorithm many = kernels().winograd ? ConvolutionAlgorithm::winograd_4x4 : ConvolutionAlgorithm::gemm;
      EXPECT_EQ(of(56), many) << name(selected_isa());
      EXPECT_EQ(of(1), ConvolutionAlgorithm::gemm) << name(selected_isa());  // most of a tile would be wasted
      names.insert(name(of(56)));
    });
  }
  EXPECT_TRUE(names.contains("gemm"));
  // Rows are gathered for few columns where groups are small.
  const PackedConvolution grouped(weight.data(), three_by_three(128, 128, 1, 32));
  for_each_isa([&] {
    const ConvolutionAlgorithm expected = kernels().winograd ? ConvolutionAlgorithm::winograd_4x4 : ConvolutionAlgorithm::gemm;
    EXPECT_EQ(convolution_algorithm({.batch = 1, .size = {1, 56, 56}}, grouped, false), expected) << name(selected_isa());
  });
  const ConvolutionGeometry depthwise = three_by_three(64, 64, 1, 64);
  EXPECT_EQ(name(convolution_algorithm({.batch = 1, .size = {1, 9, 9}}, PackedConvolution(weight.data(), depthwise), false)),
            "depthwise");
}

}  // namespace
}  // namespace octet::kernels
