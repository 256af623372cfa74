#include <octet/kernels/convolution.h>
#include <octet/kernels/packed_weight.h>

#include "kernels/convolution_test_support.h"

namespace octet::kernels {
namespace {

using test::error_of;
using test::expect_exact_everywhere;
using test::Fill;
using test::for_each_isa;
using test::Problem;
using test::Random;
using test::random_integers;

const std::vector<int64_t> kChannels{1, 3, 5, 8, 17, 33};

TEST(Convolution, IsExactForEveryNumberOfChannels) {
  for (const int64_t in : kChannels) {
    for (const int64_t out : kChannels) {
      expect_exact_everywhere({.geometry = {.in_channels = in, .out_channels = out, .kernel = {1, 3, 3}, .padding = {0, 1, 1}},
                               .batch = 2,
                               .size = {1, 5, 7}});
    }
  }
}

TEST(Convolution, IsExactForEveryGeometryOfAPlane) {
  for (const int64_t kernel : {1, 2, 3, 5}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const int64_t padding : {0, 1, 3}) {
        for (const int64_t dilation : {1, 2}) {
          for (const int64_t groups : {1, 2, 6}) {
            // Height and width differ in everything.
            const ConvolutionGeometry g{.in_channels = 6,
                                        .out_channels = 12,
                                        .groups = groups,
                                        .kernel = {1, kernel, 3},
                                        .stride = {1, stride, 4 - stride},
                                        .padding = {0, padding, 1},
                                        .dilation = {1, dilation, 3 - dilation}};
            const Spatial size{1, 9, 8};
            if (g.output_size(size)[1] < 1) continue;
            expect_exact_everywhere({.geometry = g, .size = size, .relu = padding == 1, .residual = stride == 2});
          }
        }
      }
    }
  }
}

TEST(Convolution, IsExactInOneAndThreeDimensions) {
  for (const bool transposed : {false, true}) {
    for (const int64_t stride : {1, 2}) {
      for (const int64_t groups : {1, 3}) {
        ConvolutionGeometry line{.in_channels = 9,
                                 .out_channels = 6,
                                 .groups = groups,
                                 .kernel = {1, 1, 4},
                                 .stride = {1, 1, stride},
                                 .padding = {0, 0, 2},
                                 .transposed = transposed};
        expect_exact_everywhere({.geometry = line, .batch = 3, .size = {1, 1, 60}});
        ConvolutionGeometry volume{.in_channels = 9,
                                   .out_channels = 6,
                                   .groups = groups,
                                   .kernel = {2, 3, 2},
                                   .stride = {stride, 1, 2},
                                   .padding = {1, 1, 0},
                                   .dilation = {2, 1, 1},
                                   .transposed = transposed};
        expect_exact_everywhere({.geometry = volume, .batch = 2, .size = {5, 4, 6}, .affine = stride == 2});
      }
    }
  }
}

TEST(Convolution, IsExactForEveryTransposedGeometry) {
  for (const int64_t kernel : {1, 2, 3, 4}) {
    for (const int64_t stride : {1, 2, 3, 6}) {
      for (const int64_t padding : {0, 1}) {
        for (const int64_t dilation : {1, 2, 3}) {
          for (const int64_t output_padding : {0, 1}) {
            const ConvolutionGeometry g{.in_channels = 8,
                                        .out_channels = 10,
                                        .groups = kernel == 3 ? 2 : 1,
                                        .kernel = {1, 3, kernel},
                                        .stride = {1, 2, stride},
                                        .padding = {0, 1, padding},
                                        .dilation = {1, 1, dilation},
                                        .transposed = true,
                                        .output_padding = {0, 1, output_padding}};
            const Spatial size{1, 3, 4};
            if (g.output_size(size)[2] < 1) continue;
            expect_exact_everywhere({.geometry = g, .batch = 2, .size = size, .affine = dilation == 2, .residual = stride == 2});
          }
        }
      }
    }
  }
  // Outputs of one pixel, whose images lie closer than a stride.
  const ConvolutionGeometry single{.in_channels = 3, .out_channels = 4, .stride = {2, 2, 2}, .transposed = true};
  expect_exact_everywhere({.geometry = single, .batch = 5});
}

TEST(Convolution, ReadsPixelsInPlaceWhereOneTapAllowsIt) {
  for (const int64_t in : {8, 64, 65}) {
    for (const int64_t stride : {1, 2}) {
      for (const bool affine : {false, true}) {
        const ConvolutionGeometry g{.in_channels = in, .out_channels = 40, .stride = {1, stride, stride}};
        expect_exact_everywhere({.geometry = g, .batch = 2, .size = {1, 7, 9}, .affine = affine});
        ConvolutionGeometry grouped = g;
        grouped.in_channels = 2 * in;
        grouped.groups = 2;
        expect_exact_everywhere({.geometry = grouped, .batch = 2, .size = {1, 7, 9}, .affine = affine});
      }
    }
  }
}

TEST(Convolution, IsExactForGroupsWhoseOutputsShareAPanel) {
  for (const int64_t groups : {2, 3, 4, 8, 19}) {
    for (const int64_t in : {2, 4, 8, 17}) {
      for (const int64_t out : {1, 3, 4, 8, 16}) {
        const ConvolutionGeometry plane{.in_channels = groups * in,
                                        .out_channels = groups * out,
                                        .groups = groups,
                                        .kernel = {1, 3, 3},
                                        .stride = {1, 1, out == 3 ? 2 : 1},
                                        .padding = {0, 1, 1},
                                        .dilation = {1, 1, out == 8 ? 2 : 1},
                                        .transposed = out == 1};
        for (const bool affine : {false, true}) {
          expect_exact_everywhere(
              {.geometry = plane, .size = {1, 4, 7}, .per_channel = in != 4, .affine = affine, .relu = out == 8});
        }
        const ConvolutionGeometry pixel{.in_channels = groups * in, .out_channels = groups * out, .groups = groups};
        expect_exact_everywhere({.geometry = pixel, .batch = 2, .size = {1, 3, 5}, .affine = in == 4, .residual = true});
      }
    }
  }
  // Nearly as many products as a sum may have of weights with zero points.
  expect_exact_everywhere({.geometry = {.in_channels = 60000, .out_channels = 2, .groups = 2}, .affine = true});
}

TEST(Convolution, IsExactForEveryDepthwiseGeometry) {
  for (const int64_t channels : {1, 3, 5, 8, 17, 33, 52, 64, 128}) {
    for (const Spatial& kernel : {Spatial{1, 3, 3}, Spatial{1, 5, 2}, Spatial{3, 1, 3}, Spatial{2, 2, 5}}) {
      for (const int64_t stride : {1, 2, 3}) {
        for (const int64_t dilation : {1, 2}) {
          for (const bool transposed : {false, true}) {
            const ConvolutionGeometry g{.in_channels = channels,
                                        .out_channels = channels,
                                        .groups = channels,
                                        .kernel = kernel,
                                        .stride = {1, 1, stride},
                                        .padding = {0, 1, dilation},
                                        .dilation = {1, dilation, dilation},
                                        .transposed = transposed};
            const Spatial size{3, 9, 10};
            if (g.output_size(size)[1] < 1) continue;
            expect_exact_everywhere(
                {.geometry = g, .size = size, .affine = stride == 3, .relu = dilation == 1, .residual = stride == 2});
          }
        }
      }
    }
  }
  // Rows that are cut into parts, and rows that no pixel's taps fit into.
  for (const int64_t channels : {16, 64}) {
    ConvolutionGeometry line{
        .in_channels = channels, .out_channels = channels, .groups = channels, .kernel = {1, 1, 3}, .padding = {0, 0, 1}};
    expect_exact_everywhere({.geometry = line, .batch = 3, .size = {1, 1, 200}});
    line.kernel[2] = 31;
    line.padding[2] = 15;
    expect_exact_everywhere({.geometry = line, .size = {1, 1, 20}});
    // Several outputs for each channel.
    line.out_channels = 3 * channels;
    expect_exact_everywhere({.geometry = line, .size = {1, 1, 40}});
  }
}

/// Small problems of each kind: one group, several, one for each channel, transposed.
std::vector<ConvolutionGeometry> all_kinds() {
  const ConvolutionGeometry whole{.in_channels = 12, .out_channels = 12, .kernel = {1, 3, 3}, .padding = {0, 1, 1}};
  ConvolutionGeometry grouped = whole, depthwise = whole, transposed = whole;
  grouped.groups = 3;
  depthwise.groups = depthwise.in_channels = depthwise.out_channels = 64;
  transposed.transposed = true;
  transposed.stride = {1, 2, 2};
  return {whole, grouped, depthwise, transposed};
}

TEST(Convolution, IsExactForEveryKindOfQParams) {
  for (const ConvolutionGeometry& g : all_kinds()) {
    for (int flags = 0; flags < 32; ++flags) {
      expect_exact_everywhere({.geometry = g,
                               .size = {1, 6, 5},
                               .per_channel = (flags & 1) != 0,
                               .affine = (flags & 2) != 0,
                               .bias = (flags & 4) != 0,
                               .relu = (flags & 8) != 0,
                               .residual = (flags & 16) != 0});
    }
  }
}

TEST(Convolution, DoesNotSaturate) {
  for (const ConvolutionGeometry& g : all_kinds()) {
    for (const Fill fill : {Fill::all_255_times_127, Fill::all_255_times_minus_128, Fill::all_0_times_127}) {
      for (const int32_t zero_point : {0, 255}) {
        for (const bool affine : {false, true}) {
          expect_exact_everywhere(
              {.geometry = g, .size = {1, 8, 11}, .affine = affine, .bias = false, .zero_point = zero_point, .fill = fill});
        }
      }
    }
  }
}

TEST(Convolution, DoesNotDependOnThreads) {
  for (const ConvolutionGeometry& g : all_kinds()) {
    const Problem problem({.geometry = g, .batch = 3, .size = {1, 13, 9}, .affine = true, .residual = true});
    const PackedConvolution packed(problem.weight.data(), g);
    for_each_isa([&] { problem.expect_exact<uint8_t>(packed, test::three_threads_for); });
  }
}

TEST(Convolution, GivesAnImageTheSameResultInEveryBatch) {
  for (const ConvolutionGeometry& g : all_kinds()) {
    const Problem problem({.geometry = g, .batch = 4, .size = {1, 5, 7}});
    const PackedConvolution packed(problem.weight.data(), g);
    const std::vector<int8_t> expected = problem.expected<int8_t>();
    const int64_t image = problem.pixels * g.out_channels;
    for_each_isa([&] {
      for (int64_t i = 0; i < 4; ++i) {
        ConvolutionInput alone = problem.input();
        alone.batch = 1;
        alone.q += i * problem.image;
        std::vector<int8_t> out(image);
        convolution(alone, packed, problem.weight_qparams(), problem.epilogue(), problem.out_qparams<int8_t>(), out.data());
        ASSERT_EQ(out, (std::vector<int8_t>(expected.begin() + i * image, expected.begin() + (i + 1) * image)));
      }
    });
  }
}

TEST(Convolution, GivesTheResultComputedByHand) {
  // Pixels (1, 2, 3) - 1 under the kernel (1, 10, 100), padded with a zero on both sides: 0 + 100, 0 + 10 + 200, 1 + 20.
  const std::vector<uint8_t> q{1, 2, 3};
  const std::vector<int8_t> weight{1, 10, 100};
  const float one = 1.0f;
  const ConvolutionInput input{.q = q.data(), .batch = 1, .size = {1, 1, 3}, .zero_point = 1};
  const ConvolutionGeometry g{.kernel = {1, 1, 3}, .padding = {0, 0, 1}};
  for_each_isa([&] {
    std::vector<uint8_t> out(3);
    convolution(input, PackedConvolution(weight.data(), g), {.scale = &one}, {}, {.zero_point = 3}, out.data());
    EXPECT_EQ(out, (std::vector<uint8_t>{103, 213, 24}));
  });
  // Transposed, stride 2: pixel i brings the kernel to outputs 2 i - 1, 2 i, 2 i + 1: 0 * 10, 0 * 100 + 1, 10, 100 + 2, 20.
  const ConvolutionGeometry transposed{.kernel = {1, 1, 3}, .stride = {1, 1, 2}, .padding = {0, 0, 1}, .transposed = true};
  for_each_isa([&] {
    std::vector<uint8_t> out(5);
    convolution(input, PackedConvolution(weight.data(), transposed), {.scale = &one}, {}, {.zero_point = 3}, out.data());
    EXPECT_EQ(out, (std::vector<uint8_t>{3, 4, 13, 105, 23}));
  });
}

TEST(Convolution, HandlesAnEmptyBatch) {
  const int8_t weight = 1;
  const float one = 1.0f;
  for_each_isa([&] {
    convolution({.size = {1, 2, 2}}, PackedConvolution(&weight, {}), {.scale = &one}, {}, {}, static_cast<uint8_t*>(nullptr));
  });
}

TEST(Convolution, NamesWhatIsWrongWithItsArguments) {
  const std::vector<int8_t> weight(9);
  const PackedConvolution packed(weight.data(), {.kernel = {1, 3, 3}});
  const std::vector<uint8_t> q(16);
  const float scale = 1.0f;
  const int32_t weight_zero_point = 128;
  const auto run = [&](const ConvolutionInput& input, const WeightQParams& qparams, const AffineQParams& out_qparams = {}) {
    return error_of([&] {
      uint8_t out[4];
      convolution(input, packed, qparams, {}, out_qparams, out);
    });
  };
  EXPECT_EQ(run({.q = q.data(), .batch = 1, .size = {1, 2, 4}}, {&scale}),
            "convolution: an input of 1 x 2 x 4 is too small: dimension 1 of the output would be 0 (kernel 3, padding 0, "
            "dilation 1)");
  EXPECT_EQ(run({.q = q.data(), .batch = -1, .size = {1, 4, 4}}, {&scale}),
            "convolution: the batch must not be negative, got -1");
  EXPECT_EQ(run({.q = q.data(), .batch = 1, .size = {1, 4, 4}, .zero_point = 256}, {&scale}),
            "convolution: the input's zero point 256 is not in 0 .. 255");
  EXPECT_EQ(run({.q = q.data(), .batch = 1, .size = {1, 4, 4}}, {}), "convolution: weights have no scale");
  EXPECT_EQ(run({.q = q.data(), .batch = 1, .size = {1, 4, 4}}, {&scale, false, &weight_zero_point}),
            "convolution: weights' zero point 128 of channel 0 is not in -128 .. 127");
  EXPECT_EQ(run({.q = q.data(), .batch = 1, .size = {1, 4, 4}}, {&scale}, {.scale = -1.0f}),
            "convolution: scale must be positive and finite, got -1");
}

TEST(ConvolutionGeometry, GivesTheSizeOfTheOutput) {
  const ConvolutionGeometry g{.kernel = {1, 3, 7}, .stride = {1, 2, 2}, .padding = {0, 1, 3}, .dilation = {1, 2, 1}};
  EXPECT_EQ(g.output_size({4, 10, 224}), (Spatial{4, 4, 112}));
  EXPECT_EQ(g.output_size({4, 2, 224})[1], 0);  // 4 padded elements under 5: nothing, whatever the stride
  ConvolutionGeometry transposed = g;
  transposed.transposed = true;
  transposed.output_padding = {0, 1, 1};
  EXPECT_EQ(transposed.output_size({4, 10, 112}), (Spatial{4, 22, 224}));
}

TEST(PackedConvolution, UnpacksToWhatWasPacked) {
  std::vector<ConvolutionGeometry> geometries = all_kinds();
  geometries.push_back({.in_channels = 6, .out_channels = 4, .groups = 2, .kernel = {2, 3, 5}, .dilation = {1, 2, 3}});
  geometries.push_back({.in_channels = 6, .out_channels = 18, .groups = 6, .kernel = {1, 3, 3}});
  geometries.push_back({.in_channels = 30, .out_channels = 24, .groups = 6, .kernel = {1, 3, 3}});
  geometries.push_back({.in_channels = 6,
                        .out_channels = 4,
                        .groups = 2,
                        .kernel = {2, 3, 5},
                        .stride = {4, 2, 3},
                        .dilation = {1, 2, 2},
                        .transposed = true});
  Random random(9);
  for (const ConvolutionGeometry& g : geometries) {
    const auto weight = random_integers<int8_t>(random, g.out_channels * g.taps() * (g.in_channels / g.groups), -128, 127);
    const PackedConvolution packed(weight.data(), g);
    std::vector<int8_t> unpacked(weight.size());
    packed.unpack(unpacked.data());
    EXPECT_EQ(unpacked, weight);
    EXPECT_EQ(packed.geometry(), g);
    EXPECT_EQ(packed.depth(), g.taps() * (g.in_channels / g.groups));
    EXPECT_GE(packed.bytes(), static_cast<int64_t>(weight.size()));
  }
}

TEST(PackedConvolution, RefusesShapesThatMakeNoSense) {
  const auto error = [](const ConvolutionGeometry& g) { return error_of([&] { PackedConvolution(nullptr, g); }); };
  EXPECT_EQ(error({.in_channels = 0}),
            "PackedConvolution: channels and groups must be positive, got 0 input channels, 1 output channels, 1 groups");
  EXPECT_EQ(error({.in_channels = 4, .out_channels = 6, .groups = 4}),
            "PackedConvolution: 4 groups do not divide 4 input channels and 6 output channels");
  EXPECT_EQ(error({.kernel = {1, 0, 3}}), "PackedConvolution: the kernel's sizes must be at least 1, got 1 x 0 x 3");
  EXPECT_EQ(error({.stride = {1, 1, 0}}), "PackedConvolution: strides must be at least 1, got 1 x 1 x 0");
  EXPECT_EQ(error({.padding = {0, -1, 0}}), "PackedConvolution: paddings must be at least 0, got 0 x -1 x 0");
  EXPECT_EQ(error({.dilation = {0, 1, 1}}), "PackedConvolution: dilations must be at least 1, got 0 x 1 x 1");
  EXPECT_EQ(error({.output_padding = {0, 0, 1}}), "PackedConvolution: only transposed convolutions have an output padding");
  EXPECT_EQ(error({.in_channels = 7311, .kernel = {1, 3, 3}}),
            "PackedConvolution: a sum has 65799 products (9 taps of 7311 channels), but only 65793 products of 8-bit integers "
            "always fit int32; split the layer along its inputs");
}

TEST(PackedConvolution, CountsItsBytes) {
  // Two panels of 9 taps times 8 channels, and a column sum for each of their 32 columns.
  const std::vector<int8_t> weight(20 * 9 * 8);
  EXPECT_EQ(PackedConvolution(weight.data(), {.in_channels = 8, .out_channels = 20, .kernel = {1, 3, 3}}).bytes(),
            2 * 16 * 72 + 32 * 4);
  // Four groups share a panel.
  EXPECT_EQ(PackedConvolution(weight.data(), {.in_channels = 16, .out_channels = 16, .groups = 4, .kernel = {1, 3, 3}}).bytes(),
            16 * 9 * 16 + 16 * 4);
}

}  // namespace
}  // namespace octet::kernels
