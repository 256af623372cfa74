#include <octet/tensor/quantize.h>

#include <cmath>
#include <limits>

#include "test_support.h"

namespace octet {
namespace {

using test::aten_dtype;
using test::expect_error;
using test::same_bits;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Sizes around vector widths, ties, both ends of the range and beyond, in several layouts.
std::vector<at::Tensor> interesting_tensors() {
  torch::manual_seed(1);
  std::vector<at::Tensor> tensors{torch::empty({0}), torch::empty({2, 0, 3}), torch::tensor(1.5F),
                                  torch::tensor({kInfinity, -kInfinity, 0.0F, -0.0F, 1e30F, -1e30F, 3e9F, -3e9F, 1e-40F}),
                                  torch::arange(-600, 600) * 0.25};
  for (int64_t n = 1; n < 70; n += 3) tensors.push_back(torch::randn({n}) * 20);
  tensors.push_back(torch::randn({2, 5, 7, 3}) * 20);
  tensors.push_back((torch::randn({2, 5, 7, 3}) * 20).contiguous(at::MemoryFormat::ChannelsLast));
  tensors.push_back((torch::randn({2, 4, 3, 5, 2}) * 20).contiguous(at::MemoryFormat::ChannelsLast3d));
  tensors.push_back((torch::randn({6, 8}) * 20).t());
  tensors.push_back((torch::randn({6, 8}) * 20).slice(1, 1, 8, 3));
  tensors.push_back(torch::randn({5, 1}).expand({5, 4}));
  tensors.push_back(torch::randn({40000}) * 20);
  return tensors;
}

// ATen adds the zero point in float32 before it rounds, on some processors fused with the multiplication; we add it to the
// rounded integer, as fake quantization does. So the two agree to the bit but where the sum of value / scale and zero point is
// within a unit in the last place of a half, and where it is beyond the integers that float32 holds.
void expect_atens_integers_but_for_ties(const at::Tensor& ours, const at::Tensor& atens, const at::Tensor& values,
                                        const at::Tensor& scale, const at::Tensor& zero_point, const std::string& what) {
  ASSERT_EQ(ours.sizes(), atens.sizes()) << what;
  ASSERT_EQ(ours.scalar_type(), atens.scalar_type()) << what;
  const auto scaled = (values * (1.0F / scale.to(at::kFloat))).to(at::kDouble);
  const auto last_place = ((scaled.abs() + zero_point.abs()) * 0x1p-22).clamp_min(0x1p-22);
  const auto difference = (ours.to(at::kDouble) - atens.to(at::kDouble)).abs();
  const auto tie_distance = (scaled - scaled.floor() - 0.5).abs();
  const auto is_tie = tie_distance.le(last_place).logical_and(zero_point.ne(0).expand_as(scaled));
  EXPECT_TRUE(difference.le(at::where(is_tie, last_place.clamp_min(1), 0)).all().item<bool>()) << what;
}

TEST(QuantizePerTensor, IsAtensButForTies) {
  for (const auto& values : interesting_tensors()) {
    for (const DType dtype : {quint8, qint8, qint32}) {
      for (const double scale : {1.0, 0.25, 0.1, 0.0078431372, 3.7, 1e-5}) {
        for (const int64_t zero_point : {0, 1, 3, 64}) {
          const auto ours = quantize_per_tensor(values, scale, zero_point, dtype);
          const auto atens = at::quantize_per_tensor(values, scale, zero_point, aten_dtype(dtype));
          EXPECT_EQ(ours.sizes(), values.sizes());
          expect_atens_integers_but_for_ties(
              octet::int_repr(ours), atens.int_repr(), values, torch::tensor(scale), torch::tensor(zero_point),
              c10::str(dtype, " scale ", scale, " zero point ", zero_point, " of ", values.sizes()));
        }
      }
    }
  }
}

TEST(QuantizePerTensor, IsAtensToTheBitForPackedDtypes) {
  for (const auto& sizes : std::vector<std::vector<int64_t>>{{0}, {1}, {3}, {4, 5}, {3, 7, 9}}) {
    const auto values = torch::randn(sizes) * 4;
    for (const DType dtype : {quint4x2, quint2x4}) {
      for (const double scale : {1.0, 0.25, 0.1}) {
        for (const int64_t zero_point : {0, 1, 3}) {
          const auto ours = quantize_per_tensor(values, scale, zero_point, dtype);
          const auto atens = at::quantize_per_tensor(values, scale, zero_point, aten_dtype(dtype));
          EXPECT_TRUE(same_bits(octet::int_repr(ours), atens.int_repr())) << dtype << " of " << sizes;
          EXPECT_TRUE(same_bits(octet::dequantize(ours), atens.dequantize())) << dtype << " of " << sizes;
        }
      }
    }
  }
}

TEST(QuantizePerTensor, RoundsHalvesToEvenAndClamps) {
  const auto q = quantize_per_tensor(torch::tensor({0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 300.0F, -300.0F}), 1, 10, quint8);
  EXPECT_TRUE(octet::int_repr(q).equal(torch::tensor({10, 12, 12, 10, 8, 255, 0}, torch::kByte)));
}

TEST(QuantizePerTensor, GivesNanTheLowestInteger) {
  const auto nans = torch::full({40}, std::nanf(""));
  for (const DType dtype : {quint8, qint8, qint32}) {
    const auto q = quantize_per_tensor(nans, 0.1, 5, dtype);
    EXPECT_TRUE(octet::int_repr(q).eq(info(dtype).quant_min).all().item<bool>()) << dtype;
  }
}

TEST(QuantizePerTensor, TakesItsParametersAsTensors) {
  const auto values = torch::randn({9});
  const auto q = quantize_per_tensor(values, torch::tensor(0.5F), torch::tensor({7}), quint8);
  EXPECT_TRUE(octet::int_repr(q).equal(octet::int_repr(quantize_per_tensor(values, 0.5, 7, quint8))));
  expect_error([&] { quantize_per_tensor(values, torch::ones(2), torch::zeros(1), quint8); },
               "scale has 2 elements; expected one");
}

TEST(QuantizePerTensor, KeepsChannelsLast) {
  const auto q = quantize_per_tensor(torch::randn({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast), 0.1, 0, qint8);
  EXPECT_TRUE(q.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(octet::int_repr(q).is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(octet::dequantize(q).is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(QuantizePerTensor, RefusesWhatIsNoScaleOrZeroPointOrInput) {
  const auto values = torch::randn({3});
  expect_error([&] { quantize_per_tensor(values, 0, 0, quint8); }, "scale is 0; expected a positive number");
  expect_error([&] { quantize_per_tensor(values, -1, 0, quint8); }, "scale is -1; expected a positive number");
  expect_error([&] { quantize_per_tensor(values, std::nan(""), 0, quint8); }, "scale is nan");
  expect_error([&] { quantize_per_tensor(values, kInfinity, 0, quint8); }, "scale is inf");
  expect_error([&] { quantize_per_tensor(values, 1e-40, 0, quint8); }, "as is its reciprocal");
  expect_error([&] { quantize_per_tensor(values, 1, 256, quint8); }, "zero_point is 256, which is no quint8; expected 0 .. 255");
  expect_error([&] { quantize_per_tensor(values, 1, -129, qint8); }, "expected -128 .. 127");
  expect_error([&] { quantize_per_tensor(values, 1, 16, quint4x2); }, "expected 0 .. 15");
  expect_error([&] { quantize_per_tensor(values, 1, 0, float16); }, "float16 is not a quantized dtype");
  expect_error([&] { quantize_per_tensor(values.to(torch::kDouble), 1, 0, quint8); }, "the input is Double; expected Float");
  expect_error([&] { quantize_per_tensor(at::Tensor(), 1, 0, quint8); }, "the input is undefined");
  expect_error([&] { quantize_per_tensor(quantize_per_tensor(values, 1, 0, quint8), 1, 0, quint8); }, "quantized already");
}

TEST(QuantizePerChannel, IsAtensButForTiesAlongEveryAxis) {
  for (const auto& values : interesting_tensors()) {
    for (int64_t axis = 0; axis < values.dim(); ++axis) {
      if (axis > 1 && values.suggest_memory_format() != at::MemoryFormat::Contiguous) continue;  // ATen has none
      const int64_t channels = values.size(axis);
      const auto scales = torch::rand({channels}, torch::kDouble) + 0.01;
      std::vector<int64_t> broadcast(values.dim(), 1);
      broadcast[axis] = channels;
      for (const DType dtype : {quint8, qint8, qint32}) {
        const auto zero_points = torch::randint(0, 20, {channels}, torch::kLong);
        const auto ours = quantize_per_channel(values, scales, zero_points, axis, dtype);
        const auto atens = at::quantize_per_channel(values, scales, zero_points, axis, aten_dtype(dtype));
        const auto what = c10::str(dtype, " axis ", axis, " of ", values.sizes(), " strides ", values.strides());
        expect_atens_integers_but_for_ties(octet::int_repr(ours), atens.int_repr(), values, scales.view(broadcast),
                                           zero_points.view(broadcast), what);
        EXPECT_TRUE(same_bits(octet::q_per_channel_scales(ours), atens.q_per_channel_scales()));
        EXPECT_TRUE(same_bits(octet::q_per_channel_zero_points(ours), atens.q_per_channel_zero_points()));
        EXPECT_EQ(octet::q_per_channel_axis(ours), axis);
        EXPECT_EQ(octet::qscheme(ours), per_channel_affine);
      }
    }
  }
}

TEST(QuantizePerChannel, HasAtensIntegersForSymmetricWeights) {
  const auto values = torch::randn({16, 3, 3, 3});
  const auto scales = torch::rand({16}, torch::kDouble) / 64 + 0.001;
  const auto zero_points = torch::zeros(16, torch::kLong);
  EXPECT_TRUE(same_bits(octet::int_repr(quantize_per_channel(values, scales, zero_points, 0, qint8)),
                        at::quantize_per_channel(values, scales, zero_points, 0, at::kQInt8).int_repr()));
}

TEST(QuantizePerChannel, IsAtensWithFloatZeroPointsAndPackedDtypes) {
  torch::manual_seed(2);
  for (const auto& sizes : std::vector<std::vector<int64_t>>{{5}, {3, 5}, {1, 9}, {4, 3, 5}, {7, 64}}) {
    const auto values = torch::randn(sizes) * 3;
    for (int64_t axis = 0; axis < values.dim(); ++axis) {
      const auto scales = torch::rand({values.size(axis)}) + 0.05;
      const auto zero_points = torch::rand({values.size(axis)}) * 12;
      for (const DType dtype : {quint8, qint8, quint4x2, quint2x4}) {
        const auto ours = quantize_per_channel(values, scales, zero_points, axis, dtype);
        const auto atens = at::quantize_per_channel(values, scales, zero_points, axis, aten_dtype(dtype));
        EXPECT_EQ(octet::qscheme(ours), per_channel_affine_float_qparams);
        EXPECT_TRUE(same_bits(octet::int_repr(ours), atens.int_repr())) << dtype << " axis " << axis << " of " << values.sizes();
        EXPECT_TRUE(same_bits(octet::dequantize(ours), atens.dequantize()))
            << dtype << " axis " << axis << " of " << values.sizes();
        EXPECT_TRUE(same_bits(octet::q_per_channel_scales(ours), atens.q_per_channel_scales()));
        EXPECT_TRUE(same_bits(octet::q_per_channel_zero_points(ours), atens.q_per_channel_zero_points()));
      }
    }
  }
}

TEST(QuantizePerChannel, RefusesParametersThatDoNotFit) {
  const auto values = torch::randn({3, 5});
  const auto scales = torch::ones(3);
  const auto zero_points = torch::zeros(3, torch::kLong);
  expect_error([&] { quantize_per_channel(values, scales, zero_points, 1, quint8); },
               "there are 3 scales and zero points; expected 5");
  expect_error([&] { quantize_per_channel(values, scales, zero_points, 2, quint8); }, "axis is 2; expected 0 .. 1");
  expect_error([&] { quantize_per_channel(values, scales, zero_points, -1, quint8); }, "axis is -1; expected 0 or more");
  expect_error([&] { quantize_per_channel(values, scales, torch::zeros(4, torch::kLong), 0, quint8); }, "sizes [3] and [4]");
  expect_error([&] { quantize_per_channel(values, torch::tensor({1.0F, 0.0F, 1.0F}), zero_points, 0, quint8); },
               "scale of channel 1 is 0");
  expect_error([&] { quantize_per_channel(values, scales, torch::tensor({0, 0, 256}), 0, quint8); },
               "zero_point of channel 2 is 256");
  expect_error([&] { quantize_per_channel(values, scales, torch::full({3}, kInfinity), 0, quint8); },
               "zero_point of channel 0 is inf");
  expect_error([&] { quantize_per_channel(values, scales, zero_points, 0, quint4x2); },
               "floating-point zero points only; got Long");
  expect_error([&] { quantize_per_channel(values, scales, scales, 0, qint32); }, "integer zero points only; got Float");
  expect_error([&] { quantize_per_channel(values, zero_points, zero_points, 0, quint8); }, "scales are Long");
}

TEST(QuantizePerTensorDynamic, IsAtens) {
  torch::manual_seed(3);
  for (int i = 0; i < 50; ++i) {
    const auto values = torch::randn({17, 3}) * std::pow(10.0, i % 12 - 6) + (i % 5 - 2);
    for (const DType dtype : {quint8, qint8}) {
      for (const bool reduce_range : {false, true}) {
        test::expect_twins(quantize_per_tensor_dynamic(values, dtype, reduce_range),
                           at::quantize_per_tensor_dynamic(values, aten_dtype(dtype), reduce_range), "dynamic");
      }
    }
  }
}

TEST(QuantizePerTensorDynamic, GivesHalfPrecisionForFloat16AndRefusesOtherDtypes) {
  const auto values = torch::randn({4});
  EXPECT_TRUE(quantize_per_tensor_dynamic(values, float16, false).equal(values.to(torch::kHalf)));
  expect_error([&] { quantize_per_tensor_dynamic(values, qint32, false); }, "dtype is qint32; expected quint8, qint8 or float16");
  expect_error([&] { quantize_per_tensor_dynamic(torch::empty({0, 3}), quint8, false); }, "no elements to take a range from");
  expect_error([&] { quantize_per_tensor_dynamic(torch::tensor({1.0F, kInfinity}), quint8, false); }, "NaN or infinity");
  expect_error([&] { quantize_per_tensor_dynamic(torch::tensor({1.0F, std::nanf("")}), quint8, false); }, "NaN or infinity");
}

TEST(Quantize, IsTheSameAtEveryThreadCount) {
  torch::manual_seed(4);
  const auto values = torch::randn({64, 3000});
  const auto scales = torch::rand({64}, torch::kDouble) + 0.01;
  const auto zero_points = torch::randint(0, 255, {64});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto alone = octet::int_repr(quantize_per_channel(values, scales, zero_points, 0, quint8));
  at::set_num_threads(2);
  EXPECT_TRUE(alone.equal(octet::int_repr(quantize_per_channel(values, scales, zero_points, 0, quint8))));
  at::set_num_threads(threads);
}

TEST(Dequantize, IsAtensToTheBit) {
  torch::manual_seed(4);
  const std::vector<std::tuple<DType, int64_t, int64_t>> ranges{
      {quint8, 0, 256}, {qint8, -128, 128}, {qint32, -(1 << 22), 1 << 22}};
  for (const auto& [dtype, low, high] : ranges) {
    const auto integers = torch::randint(low, high, {7, 100}).to(info(dtype).storage);
    for (const double scale : {1.0, 0.1, 3.7, 1e-5}) {
      for (const int64_t zero_point : {0, 3, 127}) {
        EXPECT_TRUE(same_bits(octet::dequantize(make_per_tensor_quantized(integers, scale, zero_point)),
                              at::_make_per_tensor_quantized_tensor(integers, scale, zero_point).dequantize()))
            << dtype << " scale " << scale << " zero point " << zero_point;
      }
    }
    for (const int64_t axis : {0, 1}) {
      const auto scales = torch::rand({integers.size(axis)}, torch::kDouble) + 0.01;
      const auto zero_points = torch::randint(0, 100, {integers.size(axis)}, torch::kLong);
      EXPECT_TRUE(same_bits(octet::dequantize(make_per_channel_quantized(integers, scales, zero_points, axis)),
                            at::_make_per_channel_quantized_tensor(integers, scales, zero_points, axis).dequantize()))
          << dtype << " axis " << axis;
    }
  }
}

TEST(Dequantize, LeavesPlainTensorsAsFloats) {
  const auto values = torch::randn({3}, torch::kDouble);
  EXPECT_TRUE(octet::dequantize(values).equal(values.to(torch::kFloat)));
}

}  // namespace
}  // namespace octet
